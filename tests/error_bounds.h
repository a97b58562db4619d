// Comparison of rounded results with exact ones, each within an error bound of its own.
//
// Bounds come from the arithmetic. With u the unit of rounding, one operation is off by a relative
// u at most, and a sum of n products, in whatever order, by (n + 1) u times the sum of their
// magnitudes.
#pragma once

#include <algorithm>
#include <cmath>

#include "tensor/bfloat16.h"

namespace combiner {

constexpr double kFloatUnit = 0x1p-24;
constexpr double kBfloat16Unit = 0x1p-8;

// What storing a float result as T may add to its error.
template <class T>
double storing_error(double value) {
  return std::is_same_v<T, bfloat16> ? kBfloat16Unit * std::abs(value) : 0.0;
}

class ErrorBounds {
 public:
  void add(double actual, double expected, double bound) {
    if (actual == expected) return;  // infinities too
    const double error = std::abs(actual - expected);
    // A NaN, anywhere, is out of bounds.
    worst_ = std::max(worst_, std::isnan(error) || bound == 0 ? HUGE_VAL : error / bound);
  }
  // The largest error as a part of its bound.
  double worst() const { return worst_; }

 private:
  double worst_ = 0;
};

}  // namespace combiner
