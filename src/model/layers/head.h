// The head: from the last block's output x to the logits of a position's sub-pixels.
//
// subpixel: logits = Dense(LayerNorm(x)). pixel: with h = LayerNorm(x), channel c's logits are
// Head_c(h + sum over c' < c of E_c'[value of channel c']), each Head dense, GELU, dense.
#pragma once

#include <cstdint>
#include <vector>

#include "combiner/config.h"
#include "kernels/rows.h"
#include "model/layers/dense.h"
#include "model/layers/norm.h"
#include "model/packed_parameters.h"
#include "model/pass.h"
#include "model/residual.h"

namespace combiner {

// In these, D = embed_dim and V = vocab_size.

// Sub-pixels predicted at a position.
inline int predictions(const ModelConfig& config) {
  return config.tokens == Tokens::pixel ? config.image.channels : 1;
}

struct HeadParameters {
  NormParameters norm;
  std::vector<DenseParameters> hidden;  // pixel, per channel [D, D]
  std::vector<DenseParameters> output;  // per prediction [V, D]
  std::vector<size_t> embed;            // pixel, per channel but the last [V, D]

  HeadParameters(ParameterLayout& layout, const ModelConfig& config);
};

struct HeadWeights {
  NormWeights norm;
  std::vector<DenseWeights> hidden, output;
  std::vector<const float*> embed;

  HeadWeights(const HeadParameters& parameters, const PackedParameters& packed);
};

// For up to n positions. A prediction's own matrices are overwritten by the next one's.
template <class T>
struct HeadActivations {
  HeadActivations(const ModelConfig& config, int64_t n, Pass pass)
      : norm(n, config.embed_dim),
        in(n, config.embed_dim),
        activation_grad(for_backward<T>(pass, hidden_rows(config, n), config.embed_dim)),
        hidden(hidden_rows(config, n), config.embed_dim),
        logits(n, config.vocab_size) {}

  NormActivations<float> norm;     // its output plus the embeddings of the channels so far
  OwnedMatrix<T> in;               // [n, D] the same, as the product reads it
  OwnedMatrix<T> activation_grad;  // [n, D] of the GELU, for the backward pass
  OwnedMatrix<T> hidden;           // [n, D] after the GELU
  OwnedMatrix<float> logits;       // [n, V]

 private:
  static int64_t hidden_rows(const ModelConfig& config, int64_t n) {
    return config.tokens == Tokens::pixel ? n : 0;
  }
};

// ---- Forward, the same for many positions of an image and for one position of many images. The
// threads of the worker's share do it together.

// Begins n positions, x [n, D]; then come head_logits of predictions 0, 1, ..., with head_reveal
// of all positions between them.
template <class T>
void head_begin(const ModelConfig& config, const HeadWeights& weights, Matrix<const float> x,
                HeadActivations<T>& act, Worker& worker) {
  norm_forward<float>(worker, x, weights.norm, config.norm_epsilon, 0, act.norm);
}

// act.logits of a prediction for n positions.
template <class T>
void head_logits(const HeadWeights& weights, int prediction, int64_t n, HeadActivations<T>& act,
                 Worker& worker);

// Adds prediction `prediction`'s value at position i to what the next prediction sees.
template <class T>
void head_reveal(const HeadWeights& weights, int prediction, int64_t i, uint8_t value,
                 HeadActivations<T>& act) {
  const Matrix<float> norm = act.norm.out.view();
  const float* table = weights.embed[static_cast<size_t>(prediction)];
  add_row({table + value * norm.columns, static_cast<size_t>(norm.columns)}, norm.row(i));
}

// ---- Backward

// Scratch memory, for up to n positions.
template <class T>
struct HeadScratch {
  HeadScratch(const ModelConfig& config, int64_t n)
      : d_logits(n, config.vocab_size),
        d_hidden(n, config.embed_dim),
        d_in(n, config.embed_dim),
        d_norm(n, config.embed_dim) {}

  OwnedMatrix<T> d_logits;    // [n, V]
  OwnedMatrix<T> d_hidden;    // [n, D]
  OwnedMatrix<float> d_in;    // [n, D]
  OwnedMatrix<float> d_norm;  // [n, D], summed over predictions
};

// Clears what the n positions' head_logits_backward add to.
template <class T>
void head_backward_begin(int64_t n, HeadScratch<T>& scratch) {
  clear(scratch.d_norm.view(n));
}

// Backward of head_logits, while act holds that prediction's, from scratch.d_logits. `values` are
// the positions' sub-pixels, [n, predictions].
template <class T>
void head_logits_backward(const HeadParameters& parameters, const HeadWeights& weights,
                          int prediction, int64_t n, const uint8_t* values, HeadActivations<T>& act,
                          HeadScratch<T>& scratch, const GradientBuffer& gradient, Worker& worker);

// Backward of head_begin, once all predictions have added theirs: d_x [n, D] is added to.
template <class T>
void head_backward_end(const HeadParameters& parameters, const HeadWeights& weights,
                       Matrix<const float> x, Matrix<float> d_x, HeadActivations<T>& act,
                       HeadScratch<T>& scratch, const GradientBuffer& gradient) {
  norm_backward<float>(x, weights.norm, 0, act.norm, scratch.d_norm.view(x.rows), d_x,
                       parameters.norm, gradient);
}

}  // namespace combiner
