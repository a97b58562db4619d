// From the last block's output to the logits of a position's sub-pixels.
//
// subpixel: logits = Head(LayerNorm(x)). pixel: with h = LayerNorm(x), channel c's logits are
// Head_c(h + sum over c' < c of E_c'[value of channel c']), each Head dense, GELU, dense.
#pragma once

#include <cstdint>

#include "kernels/activation.h"
#include "kernels/layer_norm.h"
#include "kernels/rows.h"
#include "model/activations.h"
#include "model/config.h"
#include "model/layers.h"

namespace combiner {

// Sub-pixels predicted at a position.
inline int predictions(const ModelConfig& config) {
  return config.tokens == Tokens::pixel ? config.image.channels : 1;
}

// For up to n positions; V = vocab_size. The channel's own matrices are overwritten by the next
// channel's.
template <class T>
struct HeadActivations {
  HeadActivations(const ModelConfig& config, int64_t n, Pass pass)
      : moments(static_cast<size_t>(n)),
        norm(n, config.embed_dim),
        in(n, config.embed_dim),
        slope(for_backward<T>(pass, config.tokens == Tokens::pixel ? n : 0, config.embed_dim)),
        activated(config.tokens == Tokens::pixel ? n : 0, config.embed_dim),
        logits(n, config.vocab_size) {}

  Buffer<RowMoments> moments;
  OwnedMatrix<float> norm;    // [n, D] LayerNorm(x), plus the embeddings of the channels so far
  OwnedMatrix<T> in;          // [n, D] the same, as the product reads it
  OwnedMatrix<T> slope;       // [n, D] of the GELU, for_backward
  OwnedMatrix<T> activated;   // [n, D]
  OwnedMatrix<float> logits;  // [n, V]
};

// act.norm = LayerNorm(x) of n positions; then call head_channel for c = 0, 1, ... The threads of
// the worker's share do these together.
template <class T, class Dense>
void head_norm(const ModelConfig& config, const ModelWeights<Dense>& weights, Matrix<const float> x,
               HeadActivations<T>& act, Worker& worker) {
  normalise<float>(worker, x, weights.norm, config.norm_epsilon, act.norm.view(x.rows),
                   act.moments.data());
}

// act.logits of prediction `channel` for n positions.
template <class T, class Dense>
void head_channel(const HeadWeights<Dense>& weights, const ModelConfig& config, int channel,
                  int64_t n, HeadActivations<T>& act, Worker& worker) {
  worker.share.divide(config.embed_dim, [&](int64_t first, int64_t columns) {
    convert<float, T>(act.norm.view(n).column_block(first, columns),
                      act.in.view(n).column_block(first, columns));
  });
  if (config.tokens == Tokens::subpixel) {
    dense(worker, act.in.view(n), weights.subpixel.weight, act.logits.view(n),
          {.bias = weights.subpixel.bias});
    return;
  }
  const DenseWeights<Dense>& hidden = weights.hidden[static_cast<size_t>(channel)];
  const DenseWeights<Dense>& output = weights.output[static_cast<size_t>(channel)];
  dense_activated(worker, act.in.view(n), hidden, Activation::gelu, act.slope.view(n),
                  act.activated.view(n));
  dense(worker, act.activated.view(n), output.weight, act.logits.view(n), {.bias = output.bias});
}

// Adds channel `channel`'s value of position i to what the next channel sees.
template <class T, class Dense>
void head_reveal(const HeadWeights<Dense>& weights, int channel, int64_t i, uint8_t value,
                 HeadActivations<T>& act) {
  const Matrix<float> norm = act.norm.view();
  const float* table = weights.embed[static_cast<size_t>(channel)];
  add_row({table + value * norm.columns, static_cast<size_t>(norm.columns)}, norm.row(i));
}

}  // namespace combiner
