#include "sampling/choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "error.h"

namespace combiner {
namespace {

constexpr int kMostValues = 256;

void require_finite(std::span<const float> logits) {
  for (size_t value = 0; value < logits.size(); ++value)
    if (!std::isfinite(logits[value]))
      throw Error(
          fmt::format("the model's logit of value {} is {}, expected a finite number; its "
                      "weights are too large for the precision or damaged",
                      value, logits[value]));
}

// Sets to zero the weights that top_k and top_p leave out.
void limit(std::span<const float> logits, const ChoiceOptions& options, std::span<double> weights) {
  std::array<uint8_t, kMostValues> storage;
  const std::span<uint8_t> order(storage.data(), weights.size());
  std::iota(order.begin(), order.end(), uint8_t{0});
  std::sort(order.begin(), order.end(), [&](uint8_t a, uint8_t b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  });

  size_t kept = std::min(weights.size(), static_cast<size_t>(options.top_k));
  double total = 0;
  for (size_t i = 0; i < kept; ++i) total += weights[order[i]];
  double sum = 0;
  for (size_t i = 0; i < kept; ++i) {
    sum += weights[order[i]];
    if (sum >= options.top_p * total) kept = i + 1;
  }
  for (const uint8_t value : order.subspan(kept)) weights[value] = 0;
}

}  // namespace

void validate(const ChoiceOptions& options) {
  if (!(std::isfinite(options.temperature) && options.temperature >= 0))
    throw Error(
        fmt::format("temperature is {}; expected 0 or a finite number above", options.temperature));
  if (options.top_k < 1 || options.top_k > kMostValues)
    throw Error(
        fmt::format("top_k is {}; expected 1 to {} (all values)", options.top_k, kMostValues));
  if (!(options.top_p > 0 && options.top_p <= 1))
    throw Error(
        fmt::format("top_p is {}; expected above 0 and at most 1 (all values)", options.top_p));
}

uint8_t choose_value(std::span<const float> logits, const ChoiceOptions& options, double uniform) {
  require_finite(logits);
  const auto likeliest = std::max_element(logits.begin(), logits.end());
  if (options.temperature == 0) return static_cast<uint8_t>(likeliest - logits.begin());

  std::array<double, kMostValues> storage;
  const std::span<double> weights(storage.data(), logits.size());
  for (size_t value = 0; value < logits.size(); ++value)
    weights[value] = std::exp(static_cast<float>((static_cast<double>(logits[value]) - *likeliest) /
                                                 options.temperature));
  if (options.top_k < kMostValues || options.top_p < 1) limit(logits, options, weights);

  const double target = uniform * std::accumulate(weights.begin(), weights.end(), 0.0);
  double sum = 0;
  size_t chosen = 0;
  for (size_t value = 0; value < weights.size(); ++value) {
    if (weights[value] == 0) continue;
    chosen = value;
    sum += weights[value];
    if (sum > target) break;
  }
  return static_cast<uint8_t>(chosen);
}

}  // namespace combiner
