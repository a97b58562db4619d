#include "sampling/choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/counter_random.h"
#include "base/round_up.h"
#include "combiner/error.h"
#include "kernels/cross_entropy.h"

namespace combiner {
namespace {

constexpr int kMaxValues = 256;

void require_finite(std::span<const float> logits) {
  for (size_t value = 0; value < logits.size(); ++value)
    if (!std::isfinite(logits[value]))
      throw Error(
          fmt::format("the model's logit of value {} is {}, expected a finite number; its "
                      "weights are too large for the precision or damaged",
                      value, logits[value]));
}

// Zeroes the weights of the values that top_k and top_p exclude.
void limit(std::span<const float> logits, const ChoiceOptions& options, std::span<float> weights) {
  std::array<uint8_t, kMaxValues> storage;
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
  if (options.top_k < 1 || options.top_k > kMaxValues)
    throw Error(
        fmt::format("top_k is {}; expected 1 to {} (all values)", options.top_k, kMaxValues));
  if (!(options.top_p > 0 && options.top_p <= 1))
    throw Error(
        fmt::format("top_p is {}; expected above 0 and at most 1 (all values)", options.top_p));
}

uint8_t choose_value(std::span<const float> logits, const ChoiceOptions& options, double uniform) {
  const LogitRange range = logit_range(logits);
  if (!range.finite) require_finite(logits);
  if (options.temperature == 0)
    return static_cast<uint8_t>(std::ranges::find(logits, range.maximum) - logits.begin());

  alignas(64) std::array<float, kMaxValues> storage;
  const std::span<float> weights(storage.data(), logits.size());
  // Capped at float's largest number, where any difference between logits is already decisive.
  const auto factor = static_cast<float>(
      std::min<double>(1 / options.temperature, std::numeric_limits<float>::max()));
  softmax_weights(logits, range.maximum, factor, weights);
  if (options.top_k < kMaxValues || options.top_p < 1) limit(logits, options, weights);

  // Sums of small groups are independent of each other, so their additions can overlap.
  constexpr size_t kGroupSize = 16;
  std::array<double, kMaxValues / kGroupSize> sums;
  const size_t groups = ceil_div(weights.size(), kGroupSize);
  for (size_t group = 0; group < groups; ++group) {
    const size_t first = group * kGroupSize;
    const std::span<float> members =
        weights.subspan(first, std::min(kGroupSize, weights.size() - first));
    sums[group] = std::accumulate(members.begin(), members.end(), 0.0);
  }
  const double target = uniform * std::accumulate(sums.begin(), sums.begin() + groups, 0.0);
  double sum = 0;
  size_t group = 0;
  while (group + 1 < groups && sum + sums[group] <= target) sum += sums[group++];
  // Rounding may leave the sum below the target. Then the last value with a nonzero weight is
  // chosen.
  size_t chosen = weights.size();
  for (size_t value = group * kGroupSize; value < weights.size(); ++value) {
    if (weights[value] == 0) continue;
    chosen = value;
    sum += weights[value];
    if (sum > target) break;
  }
  while (chosen == weights.size() || weights[chosen] == 0) --chosen;
  return static_cast<uint8_t>(chosen);
}

uint8_t draw_value(std::span<const float> logits, const ChoiceOptions& options, uint64_t seed,
                   uint64_t stream, int64_t subpixel) {
  return choose_value(logits, options,
                      counter_uniform(seed, stream, static_cast<uint64_t>(subpixel)));
}

}  // namespace combiner
