#include "training/gradient_sum.h"

#include <fmt/format.h>

#include <span>
#include <string>
#include <vector>

#include "base/thread_team.h"
#include "catch.h"
#include "cluster/thread_cluster.h"
#include "combiner/error.h"

namespace combiner {
namespace {

constexpr size_t kPiece = size_t{1} << 18;  // the size of a piece, unless there are many
constexpr size_t kSize = 3 * kPiece + 5;    // pieces are cut from the end, so the first is of five
constexpr int kThreads = 2;

std::vector<Buffer<float>> empty_gradients() {
  std::vector<Buffer<float>> gradients;
  while (gradients.size() < kThreads) gradients.emplace_back(kSize);
  return gradients;
}

TEST_CASE("gradient sum: all pieces of all threads and ranks, step after step") {
  constexpr int kRanks = 3;
  const auto thrown = on_ranks(kRanks, [](Cluster& cluster) {
    std::vector<Buffer<float>> gradients = empty_gradients();
    GradientSum sum(gradients, cluster);
    ThreadTeam team(kThreads);
    size_t wrong = 0;
    for (int step = 1; step <= 2; ++step) {
      // Whole numbers below 2^24, whose sums are exact in any order.
      const auto value = [&](size_t i, int factor) {
        return static_cast<float>(i % 1000 + 1) * static_cast<float>(factor * step);
      };
      sum.begin();
      team.run([&](int thread) {
        Buffer<float>& gradient = gradients[static_cast<size_t>(thread)];
        size_t end = kSize;
        // Within a piece, at the beginning of one, just before it, then one piece and two further.
        for (const size_t offset :
             {3 * kPiece, 2 * kPiece + 5, 2 * kPiece + 4, kPiece / 2, size_t{0}}) {
          for (size_t i = offset; i < end; ++i)
            gradient[i] = value(i, cluster.rank() * kThreads + thread + 1);
          sum.done_from(static_cast<size_t>(thread), offset);
          end = offset;
        }
      });
      sum.finish();
      for (size_t i = 0; i < kSize; ++i)
        wrong += gradients[0][i] != value(i, 1 + 2 + 3 + 4 + 5 + 6);
    }
    // Not before, because the other ranks wait for the sums of all steps.
    if (wrong > 0) throw Error(fmt::format("{} wrong sums", wrong));
  });
  CHECK(thrown == std::vector<std::string>(kRanks));
}

// Notes the sums that it is asked for, and adds up nothing.
struct NotingCluster : Cluster {
  void start_sum(std::span<float> values) override { begun.push_back(values); }

  std::vector<std::span<float>> begun;
};

TEST_CASE("gradient sum: the sum of a piece begins once all threads are past it") {
  std::vector<Buffer<float>> gradients = empty_gradients();
  NotingCluster cluster;
  GradientSum sum(gradients, cluster);
  // The offsets of the sums that have begun. They must follow each other, down from the end.
  const auto begun = [&] {
    std::vector<size_t> offsets;
    size_t end = kSize;
    for (const std::span<float> values : cluster.begun) {
      offsets.push_back(static_cast<size_t>(values.data() - gradients[0].data()));
      CHECK(offsets.back() + values.size() == end);
      end = offsets.back();
    }
    return offsets;
  };
  using Offsets = std::vector<size_t>;
  const Offsets all = {2 * kPiece + 5, kPiece + 5, 5, 0};
  sum.begin();
  sum.done_from(0, 0);
  CHECK(begun().empty());
  sum.done_from(1, 2 * kPiece + 6);
  CHECK(begun().empty());
  sum.done_from(1, 2 * kPiece + 5);
  CHECK(begun() == Offsets(all.begin(), all.begin() + 1));
  sum.done_from(1, 5);
  CHECK(begun() == Offsets(all.begin(), all.begin() + 3));
  sum.finish();
  CHECK(begun() == all);

  // The other ranks wait for every sum, even if a thread of this one failed.
  cluster.begun.clear();
  sum.begin();
  sum.done_from(0, 0);
  sum.done_from(1, kPiece);
  sum.finish();
  CHECK(begun() == all);
}

}  // namespace
}  // namespace combiner
