// Layer normalisation of rows, and its gradient.
#pragma once

#include <cstdint>

#include "combiner/matrix.h"
#include "tensor/bfloat16.h"

namespace combiner {

// Mean and 1 / sqrt(biased variance + epsilon) of a row.
struct RowMoments {
  float mean;
  float inverse_deviation;
};

// y = (x - mean) / deviation * weight + bias, per row. y may be x if T is float; `moments`, if
// given, has an element for each row.
template <class T>
void layer_norm(Matrix<const float> x, const float* weight, const float* bias, float epsilon,
                Matrix<T> y, RowMoments* moments = nullptr);

// d_x += the gradient through x; d_weight and d_bias += their gradients. The sums over rows are in
// order.
void layer_norm_backward(Matrix<const float> x, const RowMoments* moments, const float* weight,
                         Matrix<const float> d_y, Matrix<float> d_x, float* d_weight,
                         float* d_bias);

}  // namespace combiner
