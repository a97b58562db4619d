// LayerNorm: y = (x - mean) / deviation * weight + bias, per row.
#pragma once

#include <cstdint>
#include <string>

#include "kernels/layer_norm.h"
#include "model/parameters.h"
#include "model/worker.h"
#include "tensor/buffer.h"
#include "tensor/owned_matrix.h"

namespace combiner {

struct NormParameters {
  size_t weight = 0, bias = 0;  // offsets of [D]

  NormParameters() = default;
  NormParameters(ParameterLayout& layout, const std::string& scope, int64_t dim)
      : weight(layout.add(scope + ".weight", {dim})), bias(layout.add(scope + ".bias", {dim})) {}
};

struct NormWeights {
  const float* weight = nullptr;  // [D]
  const float* bias = nullptr;
};

// Activations for up to n rows.
template <class T>
struct NormActivations {
  NormActivations(int64_t n, int64_t dim) : out(n, dim), moments(static_cast<size_t>(n)) {}

  OwnedMatrix<T> out;          // [n, D]
  Buffer<RowMoments> moments;  // [n]
};

// Normalises the rows of `x` into act.out, from row `first` on, and returns those rows of act.out.
// All threads of the share take part.
template <class T>
Matrix<T> norm_forward(Worker& worker, Matrix<const float> x, const NormWeights& weights,
                       double epsilon, int64_t first, NormActivations<T>& act) {
  const Matrix<T> y = act.out.view().row_block(first, x.rows);
  worker.share.parallel_for(x.rows, [&](int64_t at, int64_t rows) {
    layer_norm<T>(x.row_block(at, rows), weights.weight, weights.bias, static_cast<float>(epsilon),
                  y.row_block(at, rows), act.moments.data() + first + at);
  });
  return y;
}

// Adds to d_x and to the gradients of weight and bias. d_y is the gradient of the rows that
// norm_forward computed from `x`, from row `first` on.
template <class T>
void norm_backward(Matrix<const float> x, const NormWeights& weights, int64_t first,
                   const NormActivations<T>& act, Matrix<const float> d_y, Matrix<float> d_x,
                   const NormParameters& parameters, const GradientBuffer& gradient) {
  layer_norm_backward(x, act.moments.data() + first, weights.weight, d_y, d_x,
                      gradient.values + parameters.weight, gradient.values + parameters.bias);
}

}  // namespace combiner
