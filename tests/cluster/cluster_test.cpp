#include <fmt/format.h>

#include <atomic>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "catch.h"
#include "cluster/agree.h"
#include "cluster/gathering.h"
#include "cluster/thread_cluster.h"
#include "training/tiny_training.h"

namespace combiner {
namespace {

constexpr int kRanks = 3;
const std::vector<std::string> kNothingThrown(kRanks);

TEST_CASE("cluster: ranks train as one process does, and stay the same") {
  TrainingOptions options = tiny_options();
  options.batch = 6;
  const auto pictures = tiny_pictures(40);
  Trainer alone(tiny_config(), options, pictures, Precision::f32, 2);
  std::vector<double> losses;
  for (int i = 0; i < 6; ++i) losses.push_back(alone.step(0.0).bits_per_dim);

  std::vector<std::vector<float>> weights(kRanks);
  const auto thrown = on_ranks(kRanks, [&](Cluster& cluster) {
    Trainer trainer(tiny_config(), options, pictures, Precision::f32, 2, {}, cluster);
    std::vector<double> own;
    for (size_t i = 0; i < losses.size(); ++i) own.push_back(trainer.step(0.0).bits_per_dim);
    const auto values = trainer.weights().values.span();
    weights[static_cast<size_t>(cluster.rank())] = {values.begin(), values.end()};
    for (size_t i = 0; i < losses.size(); ++i)
      if (std::abs(own[i] / losses[i] - 1) > 1e-5) throw Error(fmt::format("step {}", i));
  });
  CHECK(thrown == kNothingThrown);
  CHECK(weights[1] == weights[0]);
  CHECK(weights[2] == weights[0]);
}

TEST_CASE("cluster: a batch that can't be divided is refused") {
  TrainingOptions options = tiny_options();
  options.batch = 4;
  for (const std::string& message : on_ranks(kRanks, [&](Cluster& cluster) {
         Trainer(tiny_config(), options, tiny_pictures(9), Precision::f32, 1, {}, cluster);
       }))
    CHECK_THAT(message, contains("multiple of 3"));
}

TEST_CASE("cluster: what one rank was given differently is an error on all") {
  const auto thrown = on_ranks(kRanks, [](Cluster& cluster) {
    check_same(cluster, "the colour", cluster.rank() == 2 ? "red" : "blue");
  });
  CHECK_THAT(thrown[0], contains("the colour is blue, and red on rank 2"));
  CHECK_THAT(thrown[2], contains("the colour is red, and blue on rank 0"));
}

TEST_CASE("cluster: the failure of one rank is thrown on all, and outweighs a stop") {
  const auto thrown = on_ranks(kRanks, [](Cluster& cluster) {
    std::exception_ptr failure;
    if (cluster.rank() == 1) failure = std::make_exception_ptr(Error("the disk is gone"));
    if (cluster.rank() == 2) failure = std::make_exception_ptr(Cancelled());
    sum_unless_failed(cluster, 1.0, failure);
  });
  CHECK(thrown == std::vector<std::string>(kRanks, "rank 1 on this: the disk is gone"));
}

TEST_CASE("cluster: a sum of all ranks") {
  const auto thrown = on_ranks(kRanks, [](Cluster& cluster) {
    if (sum_unless_failed(cluster, cluster.rank() + 0.5, nullptr) != 4.5) throw Error("sum");
    if (from_rank_0(cluster, cluster.rank() + 7) != 7) throw Error("of rank 0");
    if (on_all(cluster, cluster.rank() != 1)) throw Error("not on all");
  });
  CHECK(thrown == kNothingThrown);
}

TEST_CASE("cluster: rank 0 takes what all ranks give, work after work") {
  std::atomic<int> sum = 0;
  const auto thrown = on_ranks(kRanks, [&](Cluster& cluster) {
    for (int work = 0; work < 20; ++work) {
      Gathering gathering(cluster,
                          [&](int, const std::string& result) { sum += std::stoi(result); }, {});
      for (int i = 0; i < 5; ++i) gathering.give(std::to_string(work));
      if (!gathering.finish()) throw Error("stopped");
    }
  });
  CHECK(thrown == kNothingThrown);
  CHECK(sum == 19 * 20 / 2 * 5 * kRanks);
}

TEST_CASE("cluster: one rank that is stopped stops all, also if it has nothing left to do") {
  const auto thrown = on_ranks(kRanks, [](Cluster& cluster) {
    Gathering gathering(
        cluster, [](int, const std::string&) {}, Cancel([&] { return cluster.rank() == 1; }));
    if (cluster.rank() != 1)
      while (gathering.go_on()) gathering.give("more");
    if (gathering.finish()) throw Error("not stopped");
  });
  CHECK(thrown == kNothingThrown);
}

}  // namespace
}  // namespace combiner
