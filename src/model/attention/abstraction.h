// Abstractions of sets of positions (paper, section 3.2). A set's query and key are the elementwise
// maxima over its positions; its value is what that query attends to within the set. Below, a
// `line` [n, D] is a row or column of positions, in order.
#pragma once

#include <algorithm>

#include "combiner/matrix.h"
#include "kernels/maximum.h"
#include "kernels/rows.h"

namespace combiner {

// maxima.row(i) = the elementwise maximum of rows 0 .. i of `line` and, unless it is null, of
// `before`.
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

// Adds the gradient of cumulative_maximum to d_line. `carry` is scratch memory for one row.
template <class T>
void cumulative_maximum_backward(Matrix<const T> line, Matrix<const T> maxima,
                                 Matrix<const float> d_maxima, float* carry, Matrix<float> d_line) {
  std::fill_n(carry, line.columns, 0.0f);
  for (int64_t i = line.rows - 1; i >= 0; --i) {
    // The gradient of maxima.row(i): its own, plus what later maxima did not pass on to later rows.
    add_row({d_maxima.row(i), static_cast<size_t>(line.columns)}, carry);
    maximum_backward(line.row(i), maxima.row(i), line.columns, carry, d_line.row(i));
  }
}

// out = the elementwise maximum of all rows of `line`, which has at least one.
template <class T>
void maximum_of(Matrix<const T> line, T* out) {
  std::copy_n(line.row(0), line.columns, out);
  for (int64_t i = 1; i < line.rows; ++i) maximum(out, line.row(i), line.columns, out);
}

// Adds the gradient of maximum_of to d_line. Destroys `d_maximum`.
template <class T>
void maximum_of_backward(Matrix<const T> line, const T* maximum, float* d_maximum,
                         Matrix<float> d_line) {
  for (int64_t i = 0; i < line.rows; ++i)
    maximum_backward(line.row(i), maximum, line.columns, d_maximum, d_line.row(i));
}

}  // namespace combiner
