// The expected value of a matrix product, and a bound on its error.
#pragma once

#include <cmath>

#include "error_bounds.h"
#include "padded_matrix.h"

namespace combiner {

// Compares y = a b (+ y) (+ bias). `a` and `b` are functions of (i, k) and (k, j), which hides
// whether a factor is stored transposed. `before` is the previous content of y if the product
// accumulates, else null. Returns the worst ratio of an error to its bound.
template <class Y, class A, class B>
double worst_product_error(const PaddedMatrix<Y>& y, int64_t depth, const A& a, const B& b,
                           const PaddedMatrix<Y>* before, const float* bias) {
  ErrorBounds bounds;
  for (int64_t i = 0; i < y.view().rows; ++i)
    for (int64_t j = 0; j < y.view().columns; ++j) {
      double sum = 0, magnitude = 0;
      const auto add = [&](double term) {
        sum += term;
        magnitude += std::abs(term);
      };
      for (int64_t k = 0; k < depth; ++k) add(a(i, k) * b(k, j));
      if (before) add((*before)(i, j));
      if (bias) add(bias[j]);
      // `depth` products and up to two more terms, in float.
      const double error = static_cast<double>(depth + 3) * kFloatUnit * magnitude;
      bounds.add(y(i, j), sum, error + storing_error<Y>(std::abs(sum) + error));
    }
  return bounds.worst();
}
}  // namespace combiner
