#include "sampling/choice.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "base/counter_random.h"
#include "catch.h"
#include "chi_square.h"
#include "error_of.h"
#include "random.h"

namespace combiner {
namespace {

constexpr double kBelowOne = 1 - 0x1p-53;

std::vector<double> normalised(std::vector<double> weights) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  for (double& weight : weights) weight /= sum;
  return weights;
}

// The probabilities that choose_value should use, computed in a straightforward way.
std::vector<double> probabilities(const std::vector<float>& logits, const ChoiceOptions& options) {
  std::vector<double> result;
  for (const float logit : logits) result.push_back(std::exp(logit / options.temperature));
  std::vector<double> ranked = result;
  std::sort(ranked.rbegin(), ranked.rend());
  const auto keep_down_to = [&](double least) {
    for (double& p : result)
      if (p < least) p = 0;
    result = normalised(result);
  };
  keep_down_to(ranked[std::min(ranked.size(), static_cast<size_t>(options.top_k)) - 1]);

  ranked = result;
  std::sort(ranked.rbegin(), ranked.rend());
  double sum = 0;
  size_t rank = 0;
  while ((sum += ranked[rank]) < options.top_p && rank + 1 < ranked.size()) ++rank;
  keep_down_to(ranked[rank]);
  return result;
}

double excess(const std::vector<float>& logits, const ChoiceOptions& options,
              const std::vector<double>& expected) {
  std::vector<int64_t> counts(logits.size());
  for (uint64_t i = 0; i < 40000; ++i)
    ++counts[choose_value(logits, options, counter_uniform(11, 0, i))];
  return chi_square_excess(counts, expected);
}

// The values that are drawn for the uniforms of a fine grid.
std::vector<int> support(const std::vector<float>& logits, const ChoiceOptions& options) {
  std::vector<int> values;
  for (int i = 0; i < 1000; ++i) {
    const int value = choose_value(logits, options, i / 1000.0);
    if (std::find(values.begin(), values.end(), value) == values.end()) values.push_back(value);
  }
  return values;
}

// Logits with these probabilities.
std::vector<float> logits_of(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p)));
  return logits;
}

}  // namespace

TEST_CASE("choice: draws follow the requested distribution") {
  const auto [temperature, top_k, top_p] =
      GENERATE(std::tuple(1.0, 256, 1.0), std::tuple(0.5, 256, 1.0), std::tuple(2.5, 256, 1.0),
               std::tuple(1.0, 7, 1.0), std::tuple(1.0, 256, 0.6), std::tuple(0.8, 20, 0.9));
  const size_t size = GENERATE(size_t{256}, size_t{5});
  const ChoiceOptions options{temperature, top_k, top_p};
  CAPTURE(temperature, top_k, top_p, size);
  Random random(3);
  const std::vector<float> logits = random.normals(size, 1.5);
  const std::vector<double> expected = probabilities(logits, options);
  CHECK(excess(logits, options, expected) < 4);
}

TEST_CASE("choice: the test can tell distributions apart") {
  Random random(3);
  const std::vector<float> logits = random.normals(256, 1.5);
  CHECK(excess(logits, {}, probabilities(logits, {1.1, 256, 1})) > 20);
  CHECK(excess(logits, {}, probabilities(logits, {1, 250, 1})) > 20);
  CHECK(excess(logits, {}, probabilities(logits, {1, 256, 0.99})) > 20);
}

TEST_CASE("choice: takes the first value whose cumulative probability exceeds the uniform") {
  const std::vector<float> logits(4, -3.0f);
  CHECK(choose_value(logits, {}, 0) == 0);
  CHECK(choose_value(logits, {}, 0.25 - 1e-9) == 0);
  CHECK(choose_value(logits, {}, 0.25) == 1);
  CHECK(choose_value(logits, {}, 0.75) == 3);
  CHECK(choose_value(logits, {}, kBelowOne) == 3);
  CHECK(choose_value({logits.data(), 1}, {}, kBelowOne) == 0);
}

TEST_CASE("choice: a value of probability zero is never drawn") {
  // exp underflows for the outer values.
  const std::vector<float> logits = {-200, 1, 1, -200};
  CHECK(choose_value(logits, {}, 0) == 1);
  CHECK(choose_value(logits, {}, kBelowOne) == 2);
  const std::vector<float> last = {0, -1, -1};
  CHECK(choose_value(last, {1, 2, 1}, kBelowOne) == 1);
}

TEST_CASE("choice: temperature 0 and top_k 1 take the most likely value, the lower one of equals") {
  Random random(4);
  for (int i = 0; i < 20; ++i) {
    const std::vector<float> logits = random.normals(256);
    const auto likeliest = std::max_element(logits.begin(), logits.end()) - logits.begin();
    for (const double uniform : {0.0, 0.5, kBelowOne}) {
      CHECK(choose_value(logits, {0, 256, 1}, uniform) == likeliest);
      CHECK(choose_value(logits, {1, 1, 1}, uniform) == likeliest);
      CHECK(choose_value(logits, {1e-300, 256, 1}, uniform) == likeliest);
      CHECK(choose_value(logits, {1, 256, 1e-9}, uniform) == likeliest);
    }
  }
  const std::vector<float> equals = {1, 2, 2, 0};
  CHECK(choose_value(equals, {0, 256, 1}, kBelowOne) == 1);
  CHECK(choose_value(equals, {1, 1, 1}, kBelowOne) == 1);
  // So close that their weights are the same float.
  const std::vector<float> close = {0, 1e-9f};
  CHECK(choose_value(close, {1, 1, 1}, 0) == 1);
}

TEST_CASE("choice: top_k and top_p keep the fewest likeliest values") {
  const std::vector<float> logits = logits_of({0.125, 0.5, 0.125, 0.25});
  CHECK(support(logits, {1, 256, 1}) == std::vector{0, 1, 2, 3});
  CHECK(support(logits, {1, 3, 1}) == std::vector{0, 1, 3});
  CHECK(support(logits, {1, 2, 1}) == std::vector{1, 3});
  CHECK(support(logits, {1, 256, 0.49}) == std::vector{1});
  CHECK(support(logits, {1, 256, 0.51}) == std::vector{1, 3});
  CHECK(support(logits, {1, 256, 0.74}) == std::vector{1, 3});
  CHECK(support(logits, {1, 256, 0.76}) == std::vector{0, 1, 3});
}

TEST_CASE("choice: each limit applies to what the previous one left") {
  const std::vector<float> logits = logits_of({0.5, 0.25, 0.125, 0.125});
  // top_k keeps two of four values, with probabilities 2/3 and 1/3.
  CHECK(support(logits, {1, 2, 0.66}) == std::vector{0});
  CHECK(support(logits, {1, 2, 0.67}) == std::vector{0, 1});
  // At a temperature of 1/2, the first value has probability 16/22.
  CHECK(support(logits, {0.5, 256, 0.72}) == std::vector{0});
  CHECK(support(logits, {0.5, 256, 0.74}) == std::vector{0, 1});
}

TEST_CASE("choice: a logit that is not finite is an Error") {
  const float inf = std::numeric_limits<float>::infinity();
  for (const float bad : {inf, -inf, std::numeric_limits<float>::quiet_NaN()})
    for (const double temperature : {0.0, 1.0}) {
      const std::vector<float> logits = {0, bad, 1};
      CHECK_THROWS_WITH(choose_value(logits, {temperature, 256, 1}, 0.5),
                        contains("logit of value 1 is"));
    }
}

TEST_CASE("choice: invalid options are Errors") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  CHECK(error_of([&] {
          validate({-0.1, 256, 1});
        }) == "temperature is -0.1; expected 0 or a finite number above");
  CHECK(error_of([&] { validate({HUGE_VAL, 256, 1}); }).starts_with("temperature is inf"));
  CHECK(error_of([&] { validate({nan, 256, 1}); }).starts_with("temperature is nan"));
  CHECK(error_of([&] { validate({1, 0, 1}); }) == "top_k is 0; expected 1 to 256 (all values)");
  CHECK(error_of([&] { validate({1, 257, 1}); }).starts_with("top_k is 257"));
  CHECK(error_of([&] {
          validate({1, 256, 0});
        }) == "top_p is 0; expected above 0 and at most 1 (all values)");
  CHECK(error_of([&] { validate({1, 256, 1.01}); }).starts_with("top_p is 1.01"));
  CHECK(error_of([&] { validate({1, 256, nan}); }).starts_with("top_p is nan"));
  validate({0, 1, 1e-9});
  validate({100, 256, 1});
}

}  // namespace combiner
