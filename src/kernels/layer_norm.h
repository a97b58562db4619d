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

// y = (x - mean) / deviation * weight + bias for each row; weight and bias have x.columns elements.
// y may be x if T is float. `moments`, if not null, receives one element per row.
template <class T>
void layer_norm(Matrix<const float> x, const float* weight, const float* bias, float epsilon,
                Matrix<T> y, RowMoments* moments = nullptr);

// Adds the gradient through x to d_x, and those of weight and bias to d_weight and d_bias.
// `moments` is what layer_norm stored. Sums over rows are in row order.
void layer_norm_backward(Matrix<const float> x, const RowMoments* moments, const float* weight,
                         Matrix<const float> d_y, Matrix<float> d_x, float* d_weight,
                         float* d_bias);

}  // namespace combiner
