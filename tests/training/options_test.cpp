#include "training/options.h"

#include <functional>
#include <limits>

#include "catch.h"
#include "error_of.h"

namespace combiner {
namespace {

using Catch::Matchers::WithinRel;

TEST_CASE("learning rate: rises in the warm-up, stays constant, and falls to zero at the end") {
  TrainingOptions options;
  options.learning_rate = 0.5;
  options.warmup_steps = 10;
  options.decay_fraction = 0.25;
  const auto rate = [&](int64_t step, double fraction) {
    return learning_rate(options, step, fraction);
  };
  CHECK_THAT(rate(0, 0), WithinRel(0.05, 1e-12));
  CHECK_THAT(rate(4, 0.1), WithinRel(0.25, 1e-12));
  for (const double fraction : {0.0, 0.3, 0.75}) CHECK(rate(9, fraction) == 0.5);
  CHECK(rate(1000000, 0.5) == 0.5);
  CHECK_THAT(rate(100, 0.8), WithinRel(0.4, 1e-12));
  CHECK_THAT(rate(100, 0.99), WithinRel(0.02, 1e-12));
  CHECK(rate(100, 1.0) == 0);
  CHECK(rate(100, 1.5) == 0);  // a run that took slightly longer than planned
  CHECK_THAT(rate(4, 0.875), WithinRel(0.125, 1e-12));  // warm-up and decay at once

  options.warmup_steps = 0;
  options.decay_fraction = 0;
  CHECK(rate(0, 0) == 0.5);
  CHECK(rate(0, 1.0) == 0.5);
  options.decay_fraction = 1;
  CHECK_THAT(rate(0, 0.25), WithinRel(0.375, 1e-12));
}

TEST_CASE("training options: the JSON text reads back to the same options") {
  TrainingOptions options;
  CHECK(to_json(parse_training_options(to_json(options), "test")) == to_json(options));
  options = {{OptimizerKind::adamw, 0.1f, 0.5f, 0.8f, 0.95f, 1e-6f},
             32,
             1.0 / 3.0,
             7,
             0.3,
             2.5,
             0.99,
             false,
             std::numeric_limits<uint64_t>::max(),
             5};
  const TrainingOptions read = parse_training_options(to_json(options), "test");
  CHECK(to_json(read) == to_json(options));
  CHECK(read.optimizer.kind == OptimizerKind::adamw);
  CHECK(read.optimizer.beta2 == 0.95f);
  CHECK(read.learning_rate == 1.0 / 3.0);
  CHECK_FALSE(read.flips);
  CHECK(read.seed == std::numeric_limits<uint64_t>::max());
  CHECK(read.hold_out_seed == 5);
}

TEST_CASE("training options: older checkpoints have no seed of the images held out") {
  const std::string json = to_json(TrainingOptions());
  CHECK(json.find("hold_out") == std::string::npos);
  CHECK_FALSE(parse_training_options(json, "test").hold_out_seed);
  const std::string start = json.substr(0, json.size() - 1);
  CHECK(parse_training_options(start + ",\"hold_out_seed\":0}", "test").hold_out_seed == 0);
  for (const char* seed : {"-1", "1.5", "null", "\"1\"", "true"})
    CHECK_THAT(error_of([&] {
                 parse_training_options(start + ",\"hold_out_seed\":" + seed + "}", "test");
               }),
               contains("test: bad training options"));
}

TEST_CASE("training options: malformed text is refused") {
  const std::string good = to_json(TrainingOptions());
  const auto complaint = [&](const std::string& from, const std::string& to) {
    std::string text = good;
    const size_t place = text.find(from);
    REQUIRE(place != std::string::npos);
    text.replace(place, from.size(), to);
    return error_of([&] { parse_training_options(text, "file.checkpoint"); });
  };
  CHECK_THAT(complaint("{", ""), contains("file.checkpoint: bad training options"));
  CHECK_THAT(complaint("\"batch\":4,", ""), contains("batch"));
  CHECK_THAT(complaint("\"batch\":4", "\"batch\":\"4\""), contains("bad training options"));
  CHECK_THAT(complaint("\"batch\":4", "\"batch\":4.5"), contains("bad training options"));
  CHECK_THAT(complaint("\"batch\":4", "\"batch\":true"), contains("bad training options"));
  CHECK_THAT(complaint("\"batch\":4", "\"batch\":0"), contains("batch is 0, expected 1 to 65536"));
  CHECK_THAT(complaint("\"batch\":4", "\"batch\":4,\"batches\":4"), contains("batches"));
  CHECK_THAT(complaint("\"muon\"", "\"sgd\""), contains("sgd"));
  CHECK_THAT(complaint("\"muon\"", "7"), contains("bad training options"));
  CHECK_THAT(error_of([&] { parse_training_options("", "x"); }), contains("x: bad training"));
  CHECK_THAT(error_of([&] { parse_training_options("[]", "x"); }), contains("x: bad training"));
}

TEST_CASE("training options: out-of-range numbers are named") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double infinity = std::numeric_limits<double>::infinity();
  const auto refuses = [](const std::string& message,
                          const std::function<void(TrainingOptions&)>& spoil) {
    TrainingOptions options;
    validate(options, "test");
    spoil(options);
    CHECK_THAT(error_of([&] { validate(options, "test"); }), contains("test: " + message));
  };
  const auto all = [&](const std::string& name, std::vector<double> values,
                       const std::function<void(TrainingOptions&, double)>& set) {
    for (const double value : values)
      refuses(name, [&](TrainingOptions& options) { set(options, value); });
  };
  all("learning_rate is", {0, -1, nan, infinity},
      [](TrainingOptions& o, double value) { o.learning_rate = value; });
  all("clip_norm is", {0, -1, nan, infinity},
      [](TrainingOptions& o, double value) { o.clip_norm = value; });
  all("decay_fraction is", {-0.1, 1.1, nan},
      [](TrainingOptions& o, double value) { o.decay_fraction = value; });
  all("average_decay is", {-0.1, 1.1, nan},
      [](TrainingOptions& o, double value) { o.average_decay = value; });
  const auto to_float = [](double value) { return static_cast<float>(value); };
  all("weight_decay is", {-0.1, nan, infinity},
      [&](TrainingOptions& o, double value) { o.optimizer.weight_decay = to_float(value); });
  all("muon_momentum is", {-0.1, 1, nan},
      [&](TrainingOptions& o, double value) { o.optimizer.muon_momentum = to_float(value); });
  all("beta1 is", {-0.1, 1, nan},
      [&](TrainingOptions& o, double value) { o.optimizer.beta1 = to_float(value); });
  all("beta2 is", {-0.1, 1, nan},
      [&](TrainingOptions& o, double value) { o.optimizer.beta2 = to_float(value); });
  all("epsilon is", {0, -1, nan},
      [&](TrainingOptions& o, double value) { o.optimizer.epsilon = to_float(value); });
  refuses("batch is -1", [](TrainingOptions& o) { o.batch = -1; });
  refuses("batch is 65537", [](TrainingOptions& o) { o.batch = 65537; });
  refuses("warmup_steps is -1", [](TrainingOptions& o) { o.warmup_steps = -1; });
}

}  // namespace
}  // namespace combiner
