// The residual stream, to which each layer of a block adds: x += layer(LayerNorm(x)).
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/rows.h"
#include "model/layers/dense.h"
#include "model/pass.h"
#include "tensor/owned_matrix.h"

namespace combiner {

// sum = x + layer(in). `sum` may be x, and must be if several threads share the work.
template <class T>
void add_residual(Worker& worker, Matrix<const float> x, Matrix<const T> in,
                  const DenseWeights& layer, Matrix<float> sum) {
  if (sum.data != x.data) convert<float, float>(x, sum);
  dense(worker, in, layer, sum, {.accumulate = true});
}

// The gradient of the residual stream, updated in place from the head down to the embedding, and
// scratch memory shared by the layers of all blocks. L = positions, D = embed_dim.
template <class T>
struct ResidualGradient {
  ResidualGradient(int64_t positions, int64_t dim)
      : x(positions, dim),
        norm(positions, dim),
        rounded(std::is_same_v<T, float> ? 0 : positions, dim) {}

  // Rows of d_x as a product's operand: d_x itself, or a rounded copy in scratch memory.
  Matrix<const T> as_product_input(Matrix<const float> d_x) {
    if constexpr (std::is_same_v<T, float>) {
      return d_x;
    } else {
      convert<float, T>(d_x, rounded.view(d_x.rows));
      return rounded.view(d_x.rows);
    }
  }

  OwnedMatrix<float> x;     // [L, D]
  OwnedMatrix<float> norm;  // [L, D] the gradient of a LayerNorm's output
  OwnedMatrix<T> rounded;   // [L, D]
};

}  // namespace combiner
