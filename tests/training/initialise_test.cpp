#include "training/initialise.h"

#include <algorithm>
#include <cmath>
#include <string_view>
#include <utility>

#include "catch.h"
#include "model/random_model.h"

namespace combiner {
namespace {

// The standard deviation that initialise.h states for a parameter that is no vector: of the first
// line whose part of a name it has.
double stated_deviation(const ModelConfig& config, const std::string& name) {
  const auto dense = [](int inputs) { return 1 / std::sqrt(inputs); };
  const double residual = 1 / std::sqrt(2 * config.num_layers);
  const std::pair<std::string_view, double> stated[] = {
      {"embed.stem.", dense(4 * 3 * 5)},  // the channels and one of ones, in a window of 3 x 5
      {"embed.", 0.02},                   // values and positions, of the head also
      {".attention.output.", residual * dense(config.embed_dim)},
      {".mlp.down.", residual * dense(config.mlp_dim)},
      {".attention.", dense(config.embed_dim)},
      {".mlp.up.", dense(config.embed_dim)},
      {".hidden.", dense(config.embed_dim)},
      {"head.", 0.02},  // the logits' weights are a table of values
  };
  for (const auto& [part, deviation] : stated)
    if (name.find(part) != std::string::npos) return deviation;
  FAIL("a parameter without a stated deviation: " << name);
  return 0;
}

// Sums of the powers of numbers that should be normal with the deviation 1. The mean of n of them
// deviates from 0 by 1 / sqrt(n), that of squares from 1 by sqrt(2 / n), that of fourth powers from
// 3 by sqrt(96 / n). One of some hundred is further off than five times that once in ten thousand
// seeds.
struct Powers {
  double number = 0, first = 0, second = 0, fourth = 0;

  void add(double value) {
    number += 1;
    first += value;
    second += value * value;
    fourth += value * value * value * value;
  }
  void check_mean_and_deviation() const {
    CHECK(std::abs(first / number) < 5 / std::sqrt(number));
    CHECK(std::abs(second / number - 1) < 5 * std::sqrt(2 / number));
  }
  void check_shape() const { CHECK(std::abs(fourth / number - 3) < 5 * std::sqrt(96 / number)); }
};

// Whether the stem's window of 3 x 5 has this weight at the current pixel or after it.
bool is_masked(size_t i) { return i % 15 >= 12; }

void check_values(const ModelConfig& config) {
  const Weights weights = initial_weights(config, 1);
  Powers all;
  for (const Parameter& parameter : weights.parameters.list) {
    INFO(parameter.name);
    const auto values = weights.values.span().subspan(parameter.offset, parameter.size);
    if (parameter.shape.size() == 1) {
      const float expected = parameter.name.ends_with(".weight") ? 1.0f : 0.0f;  // norms have these
      CHECK(std::ranges::count(values, expected) == std::ssize(values));
      continue;
    }
    const double deviation = stated_deviation(config, parameter.name);
    const bool is_stem = parameter.name == "embed.stem.weight";
    Powers own;
    for (size_t i = 0; i < values.size(); ++i)
      if (is_stem && is_masked(i)) {
        CHECK(values[i] == 0.0f);
      } else {
        own.add(values[i] / deviation);
        all.add(values[i] / deviation);
      }
    own.check_mean_and_deviation();
  }
  all.check_shape();
}

TEST_CASE("initial weights: normal numbers of the stated deviations, ones and zeros") {
  ModelConfig config = small_config(Tokens::pixel, Attention::full, 8, 8);
  config.embed_dim = 128;
  config.mlp_dim = 160;
  config.num_layers = 8;
  config.attention.assign(8, Attention::full);
  config.attention[3] = Attention::axial_rowmajor;  // has the most parameters
  check_values(config);

  config = small_config(Tokens::subpixel, Attention::axial_rowmajor, 8, 8);
  config.embed_dim = 64;
  config.position = Position::learned;
  check_values(config);
}

TEST_CASE("initial weights: the same for the same seed, others for another") {
  const ModelConfig config = small_config(Tokens::pixel, Attention::axial_rowmajor, 4, 4);
  const Weights weights = initial_weights(config, 7), same = initial_weights(config, 7),
                other = initial_weights(config, 8);
  CHECK(std::ranges::equal(same.values, weights.values));
  for (const Parameter& parameter : weights.parameters.list) {
    if (parameter.shape.size() == 1) continue;
    const auto of = [&](const Weights& some) {
      return some.values.span().subspan(parameter.offset, parameter.size);
    };
    INFO(parameter.name);
    CHECK_FALSE(std::ranges::equal(of(other), of(weights)));
  }
}

}  // namespace
}  // namespace combiner
