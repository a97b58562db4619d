// Rows of 8-bit integers, each with a scale: the row's largest magnitude / 127.
#pragma once

#include <cstdint>

#include "combiner/matrix.h"

namespace combiner {

// `to` receives the elements of each row divided by the row's scale, rounded to the nearest
// integer. scales[i * stride] receives the scale of row i. T is float or bfloat16.
template <class T>
void quantize_rows(Matrix<const T> from, Matrix<int8_t> to, float* scales, int64_t stride);

// to = from after a round trip through quantize_rows, rounded to T.
template <class T>
void round_rows(Matrix<const T> from, Matrix<T> to);

}  // namespace combiner
