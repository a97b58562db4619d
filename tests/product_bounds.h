// What a matrix product must be, and how far off it may be.
#pragma once

#include <cmath>

#include "error_bounds.h"
#include "padded_matrix.h"

namespace combiner {

// How y = a b (+ y) (+ bias) is compared: the factors as functions of (i, k) and (k, j), so that a
// stored transpose is none of this one's business. `before` is what y held if products are added.
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
      // `depth` products and two more terms, in float.
      const double error = static_cast<double>(depth + 3) * kFloatUnit * magnitude;
      bounds.add(y(i, j), sum, error + storing_error<Y>(std::abs(sum) + error));
    }
  return bounds.worst();
}
}  // namespace combiner
