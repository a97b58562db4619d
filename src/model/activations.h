// Where the layers leave what they compute, for the layers after them and for the backward pass.
#pragma once

#include <algorithm>
#include <map>

#include "kernels/layer_norm.h"
#include "model/attention/attention.h"
#include "model/config.h"
#include "model/owned_matrix.h"
#include "model/pass.h"
#include "tensor/buffer.h"

namespace combiner {

// In these, D = embed_dim, H = num_heads, F = mlp_dim; T is the type of the matrices that products
// read, float or bfloat16.

// A matrix for the backward pass: without data if there is none.
template <class T>
OwnedMatrix<T> for_backward(Pass pass, int64_t rows, int64_t columns) {
  return pass == Pass::both_ways ? OwnedMatrix<T>(rows, columns) : OwnedMatrix<T>();
}

// Positions that a block works on at a time, so that what one product leaves for the next stays in
// the second cache.
constexpr int64_t kPositionsAtOnce = 128;

// One block's, for up to n positions. The MLP's are of all of them for a backward pass; else of
// those at hand, so that there is no more of them than stays in cache.
template <class T>
struct BlockActivations {
  BlockActivations(const ModelConfig& config, int64_t n, Pass pass)
      : norm1(n, config.embed_dim),
        moments1(static_cast<size_t>(n)),
        query_key_value(n, 3 * int64_t{config.embed_dim}),
        lse(n, config.num_heads),
        attended_in(n, config.embed_dim),
        norm2(mlp_rows(n, pass), config.embed_dim),
        moments2(static_cast<size_t>(mlp_rows(n, pass))),
        slope(for_backward<T>(pass, n, config.mlp_dim)),
        activated(mlp_rows(n, pass), config.mlp_dim) {}

  // Where the MLP's of the positions from `first` on begin.
  int64_t mlp_row(int64_t first) const { return slope.view().data ? first : 0; }

  OwnedMatrix<T> norm1;  // [n, D] the attention's input
  Buffer<RowMoments> moments1;
  OwnedMatrix<T> query_key_value;  // [n, 3D]
  OwnedMatrix<float> lse;          // [n, H] of all heads and parts, merged
  OwnedMatrix<T> attended_in;      // [n, D] of them, as the output product reads it

  OwnedMatrix<T> norm2;  // [n, D] the MLP's input
  Buffer<RowMoments> moments2;
  OwnedMatrix<T> slope;      // [n, F] of the activation, for_backward
  OwnedMatrix<T> activated;  // [n, F]

 private:
  static int64_t mlp_rows(int64_t n, Pass pass) {
    return pass == Pass::both_ways ? n : std::min(n, kPositionsAtOnce);
  }
};

// Attention's, for layers that are computed one after another: one for each variant among them.
template <class T>
class SharedAttentionActivations {
 public:
  SharedAttentionActivations(const ModelConfig& config, int64_t rows) {
    for (const Attention attention : config.attention)
      if (!of_.contains(attention))
        of_[attention] = attention_activations<T>(attention, config.attention_shape(), rows);
  }

  AttentionActivations<T>& of(Attention attention) { return of_.at(attention); }

 private:
  std::map<Attention, AttentionActivations<T>> of_;
};

}  // namespace combiner
