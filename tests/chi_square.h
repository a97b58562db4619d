// Pearson's chi-square test of counts against probabilities.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>

namespace combiner {

// How many standard deviations the chi-square statistic lies above its mean under these
// probabilities; infinite if an impossible value was counted. Rare values share a bin.
inline double chi_square_excess(std::span<const int64_t> counts,
                                std::span<const double> probabilities) {
  double total = 0;
  for (const int64_t count : counts) total += static_cast<double>(count);
  double statistic = 0, bins = 0, rare_count = 0, rare_expected = 0;
  const auto add = [&](double count, double expected) {
    statistic += (count - expected) * (count - expected) / expected;
    ++bins;
  };
  for (size_t i = 0; i < counts.size(); ++i) {
    const auto count = static_cast<double>(counts[i]);
    const double expected = probabilities[i] * total;
    if (expected >= 8) {
      add(count, expected);
    } else if (expected > 0) {
      rare_count += count;
      rare_expected += expected;
    } else if (count > 0) {
      return HUGE_VAL;
    }
  }
  if (rare_expected >= 8) add(rare_count, rare_expected);
  const double freedom = bins - 1;
  if (freedom == 0) return 0;
  return (statistic - freedom) / std::sqrt(2 * freedom);
}

}  // namespace combiner
