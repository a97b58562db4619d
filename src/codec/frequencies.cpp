#include "codec/frequencies.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>

#include "combiner/error.h"

namespace combiner {
namespace {

// Logits are counted in steps of 2^-16 of a factor of 2.
constexpr int kStepBits = 16;
constexpr float kStepsPerNat = 94548.461F;  // 2^16 / ln 2, as a float
// Beyond this a weight is 0.
constexpr float kMostSteps = 31 << kStepBits;

// 2^(-steps / 2^16) in units of 2^-30, by a cubic in the fraction that is right to 1.6e-4.
uint32_t weight(uint32_t steps) {
  const uint32_t fraction = steps & ((1U << kStepBits) - 1);
  uint32_t power = 1298;  // the cubic's factors, in units of 2^-15
  power = 7575 - (power * fraction >> kStepBits);
  power = 22663 - (power * fraction >> kStepBits);
  power = (1U << 15) - (power * fraction >> kStepBits);
  return power << 15 >> (steps >> kStepBits);
}

}  // namespace

Frequencies::Frequencies(std::span<const float> logits) {
  assert(!logits.empty() && logits.size() <= kMostValues);
  const size_t values = logits.size();
  float greatest = logits[0], sum_of_zeros = 0;
  for (const float logit : logits) {
    greatest = std::max(greatest, logit);
    sum_of_zeros += logit * 0.0F;  // not 0 if a logit is not finite
  }
  if (sum_of_zeros != 0.0F)
    throw Error("a logit is not a finite number; the weights may be damaged");

  std::array<uint32_t, kMostValues> weights = {};
  for (size_t i = 0; i < values; ++i)
    weights[i] = weight(static_cast<uint32_t>(
        static_cast<int32_t>(std::min((greatest - logits[i]) * kStepsPerNat, kMostSteps))));
  uint64_t sum = 0;
  for (size_t i = 0; i < values; ++i) sum += weights[i];

  // Each value has 1 and its part of the rest; what rounding leaves goes to the most likely.
  constexpr int kScaleBits = 37;
  const uint64_t rest = kFrequencyTotal - values;
  const auto scale = static_cast<uint32_t>((rest << kScaleBits) / sum);
  uint32_t given = 0;
  for (size_t i = 0; i < values; ++i) {
    counts_[i] = 1 + static_cast<uint32_t>(uint64_t{weights[i]} * scale >> kScaleBits);
    given += counts_[i];
  }
  const auto likeliest = std::ranges::max_element(logits) - logits.begin();
  counts_[static_cast<size_t>(likeliest)] += kFrequencyTotal - given;
}

FrequencyRange Frequencies::of(uint8_t value) const {
  const auto* const end = counts_.begin() + value;
  return {std::accumulate(counts_.begin(), end, uint32_t{0}), *end};
}

Frequencies::Found Frequencies::find(uint32_t target) const {
  uint32_t begin = 0;
  size_t value = 0;
  while (target - begin >= counts_[value]) begin += counts_[value++];
  return {static_cast<uint8_t>(value), {begin, counts_[value]}};
}

}  // namespace combiner
