// Abstractions of sets of positions (paper, section 3.2): the query and key of a set are the
// elementwise maxima of its positions', its value what that query attends in the set.
#pragma once

#include <algorithm>

#include "combiner/matrix.h"
#include "kernels/maximum.h"
#include "kernels/rows.h"

namespace combiner {

// maxima.row(i) = the maximum of line's rows up to i, and of `before` if it is not null.
template <class T>
void cumulative_maximum(Matrix<const T> line, const T* before, Matrix<T> maxima) {
  for (int64_t i = 0; i < line.rows; ++i) {
    const T* so_far = i > 0 ? maxima.row(i - 1) : before;
    if (so_far)
      maximum(so_far, line.row(i), line.columns, maxima.row(i));
    else
      std::copy_n(line.row(i), line.columns, maxima.row(i));
  }
}

// Adds the gradient of cumulative_maximum to d_line. `carry` is scratch for a row.
template <class T>
void cumulative_maximum_backward(Matrix<const T> line, Matrix<const T> maxima,
                                 Matrix<const float> d_maxima, float* carry, Matrix<float> d_line) {
  std::fill_n(carry, line.columns, 0.0f);
  for (int64_t i = line.rows - 1; i >= 0; --i) {
    // The gradient of maxima.row(i): its own, and what later maxima don't owe to later rows.
    add_row({d_maxima.row(i), static_cast<size_t>(line.columns)}, carry);
    maximum_backward(line.row(i), maxima.row(i), line.columns, carry, d_line.row(i));
  }
}

// out = the maximum of all of line's rows, of which there is at least one.
template <class T>
void maximum_of(Matrix<const T> line, T* out) {
  std::copy_n(line.row(0), line.columns, out);
  for (int64_t i = 1; i < line.rows; ++i) maximum(out, line.row(i), line.columns, out);
}

// Adds the gradient of maximum_of to d_line; `d_maximum` is used up.
template <class T>
void maximum_of_backward(Matrix<const T> line, const T* maximum, float* d_maximum,
                         Matrix<float> d_line) {
  for (int64_t i = 0; i < line.rows; ++i)
    maximum_backward(line.row(i), maximum, line.columns, d_maximum, d_line.row(i));
}

}  // namespace combiner
