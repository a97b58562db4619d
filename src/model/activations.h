// Where the layers leave what they compute, for the layers after them and for the backward pass.
#pragma once

#include <vector>

#include "kernels/layer_norm.h"
#include "model/config.h"
#include "tensor/buffer.h"
#include "tensor/matrix.h"

namespace combiner {

// A matrix with storage of its own.
template <class T>
class OwnedMatrix {
 public:
  OwnedMatrix() = default;
  OwnedMatrix(int64_t rows, int64_t columns)
      : buffer_(static_cast<size_t>(rows * columns)), rows_(rows), columns_(columns) {}

  Matrix<T> view() { return {buffer_.data(), rows_, columns_}; }
  Matrix<const T> view() const { return {buffer_.data(), rows_, columns_}; }
  // The first `rows` rows.
  Matrix<T> view(int64_t rows) { return {buffer_.data(), rows, columns_}; }

 private:
  Buffer<T> buffer_;
  int64_t rows_ = 0;
  int64_t columns_ = 0;
};

// In these, D = embed_dim, H = num_heads, F = mlp_dim; T is the type of the matrices that products
// read, float or bfloat16.

// Row-major attention's way from n positions to their summaries' keys.
template <class T>
struct SummaryActivations {
  SummaryActivations() = default;
  SummaryActivations(const ModelConfig& config, int64_t n)
      : value(n, config.embed_dim),
        lse(n, config.num_heads),
        sum(n, config.embed_dim),
        moments(static_cast<size_t>(n)),
        norm(n, config.embed_dim) {}

  OwnedMatrix<float> value;    // [n, D] attention over the whole row
  OwnedMatrix<float> lse;      // [n, H] its log-sum-exp
  OwnedMatrix<float> sum;      // [n, D] SummaryOutput(value) + the attention's input
  Buffer<RowMoments> moments;  // of sum
  OwnedMatrix<T> norm;         // [n, D] LayerNorm(sum)
};

// One block's, for up to n positions.
template <class T>
struct BlockActivations {
  BlockActivations(const ModelConfig& config, int64_t n)
      : norm1(n, config.embed_dim),
        moments1(static_cast<size_t>(n)),
        query_key_value(n, 3 * int64_t{config.embed_dim}),
        attended(n, config.embed_dim),
        lse(n, config.num_heads),
        attended_in(n, config.embed_dim),
        summary(config, n),
        norm2(n, config.embed_dim),
        moments2(static_cast<size_t>(n)),
        up(n, config.mlp_dim),
        activated(n, config.mlp_dim) {}

  OwnedMatrix<T> norm1;  // [n, D] the attention's input
  Buffer<RowMoments> moments1;
  OwnedMatrix<T> query_key_value;  // [n, 3D]
  OwnedMatrix<float> attended;     // [n, D] of all heads and parts, merged
  OwnedMatrix<float> lse;          // [n, H] of all parts, merged
  OwnedMatrix<T> attended_in;      // attended, as the output product reads it
  SummaryActivations<T> summary;   // row-major only

  OwnedMatrix<T> norm2;  // [n, D] the MLP's input
  Buffer<RowMoments> moments2;
  OwnedMatrix<T> up;         // [n, F] before the activation
  OwnedMatrix<T> activated;  // [n, F]
};

}  // namespace combiner
