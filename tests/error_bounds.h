// Compares rounded results with exact ones, each within its own error bound.
//
// Bounds follow from the arithmetic. With u the unit roundoff, one operation has a relative error
// of at most u, and a sum of n products, in any order, has an error of at most (n + 1) u times the
// sum of their magnitudes.
#pragma once

#include <algorithm>
#include <cmath>

#include "tensor/bfloat16.h"

namespace combiner {

constexpr double kFloatUnit = 0x1p-24;
constexpr double kBfloat16Unit = 0x1p-8;

// The error that storing a float result as T may add.
template <class T>
double storing_error(double value) {
  return std::is_same_v<T, bfloat16> ? kBfloat16Unit * std::abs(value) : 0.0;
}

class ErrorBounds {
 public:
  void add(double actual, double expected, double bound) {
    if (actual == expected) return;  // covers infinities
    const double error = std::abs(actual - expected);
    // A NaN on either side is out of bounds.
    worst_ = std::max(worst_, std::isnan(error) || bound == 0 ? HUGE_VAL : error / bound);
  }
  // The largest ratio of an error to its bound; a test passes if it is at most 1.
  double worst() const { return worst_; }

 private:
  double worst_ = 0;
};

}  // namespace combiner
