// Rows of 8-bit integers, each with a scale: the largest magnitude / 127.
#pragma once

#include <cstdint>

#include "combiner/matrix.h"

namespace combiner {

// The whole numbers nearest to those of a row / its scale, to `to`; row i's scale to
// scales[i * stride]. T is float or bfloat16.
template <class T>
void quantize_rows(Matrix<const T> from, Matrix<int8_t> to, float* scales, int64_t stride);

// to = from as quantize_rows would keep it, rounded to T.
template <class T>
void round_rows(Matrix<const T> from, Matrix<T> to);

}  // namespace combiner
