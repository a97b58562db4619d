// The head: from the last block's output x to the logits of a position's sub-pixels.
//
// With subpixel tokens: logits = Dense(LayerNorm(x)). With pixel tokens and h = LayerNorm(x), the
// logits of channel c are Head_c(h + sum over c' < c of E_c'[value of channel c']), where each Head
// is dense, GELU, dense.
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

// The number of sub-pixels predicted at a position.
inline int predictions(const ModelConfig& config) {
  return config.tokens == Tokens::pixel ? config.image.channels : 1;
}

struct HeadParameters {
  size_t first;  // the offset of the first one
  NormParameters norm;
  std::vector<DenseParameters> hidden;  // pixel tokens: per channel [D, D]
  std::vector<DenseParameters> output;  // per prediction [V, D]
  std::vector<size_t> embed;            // pixel tokens: per channel but the last [V, D]

  HeadParameters(ParameterLayout& layout, const ModelConfig& config);
};

struct HeadWeights {
  NormWeights norm;
  std::vector<DenseWeights> hidden, output;
  std::vector<const float*> embed;

  HeadWeights(const HeadParameters& parameters, const PackedParameters& packed);
};

// Activations for up to n positions. Each prediction overwrites all of them but `norm`.
template <class T>
struct HeadActivations {
  HeadActivations(const ModelConfig& config, int64_t n, Pass pass)
      : norm(n, config.embed_dim),
        in(n, config.embed_dim),
        activation_grad(for_backward<T>(pass, hidden_rows(config, n), config.embed_dim)),
        hidden(hidden_rows(config, n), config.embed_dim),
        logits(n, config.vocab_size) {}

  NormActivations<float> norm;     // LayerNorm(x) plus the embeddings of the channels so far
  OwnedMatrix<T> in;               // [n, D] the same in T, the product's operand
  OwnedMatrix<T> activation_grad;  // [n, D] derivative of the GELU, for the backward pass
  OwnedMatrix<T> hidden;           // [n, D] after the GELU
  OwnedMatrix<float> logits;       // [n, V]

 private:
  static int64_t hidden_rows(const ModelConfig& config, int64_t n) {
    return config.tokens == Tokens::pixel ? n : 0;
  }
};

// ---- Forward: the same for many positions of an image and for one position of many images. The
// threads of the worker's share compute it jointly.

// Begins n positions with inputs x [n, D]. Then call head_logits for predictions 0, 1, ..., and
// head_reveal for all positions after each prediction but the last.
template <class T>
void head_begin(const ModelConfig& config, const HeadWeights& weights, Matrix<const float> x,
                HeadActivations<T>& act, Worker& worker) {
  norm_forward<float>(worker, x, weights.norm, config.norm_epsilon, 0, act.norm);
}

// Computes act.logits of one prediction for n positions.
template <class T>
void head_logits(const HeadWeights& weights, int prediction, int64_t n, HeadActivations<T>& act,
                 Worker& worker);

// Adds the embedding of the value of `prediction` at position i to the input of later predictions.
template <class T>
void head_reveal(const HeadWeights& weights, int prediction, int64_t i, uint8_t value,
                 HeadActivations<T>& act) {
  const Matrix<float> norm = act.norm.out.view();
  const float* table = weights.embed[static_cast<size_t>(prediction)];
  add_row({table + value * norm.columns, static_cast<size_t>(norm.columns)}, norm.row(i));
}

// ---- Backward

// Scratch memory for up to n positions.
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

// Clears the sum that head_logits_backward adds to, for n positions.
template <class T>
void head_backward_begin(int64_t n, HeadScratch<T>& scratch) {
  clear(scratch.d_norm.view(n));
}

// Backward of head_logits, from scratch.d_logits, while `act` still holds that prediction. `values`
// [n, predictions] are the positions' sub-pixels.
template <class T>
void head_logits_backward(const HeadParameters& parameters, const HeadWeights& weights,
                          int prediction, int64_t n, const uint8_t* values, HeadActivations<T>& act,
                          HeadScratch<T>& scratch, const GradientBuffer& gradient, Worker& worker);

// Backward of head_begin, after those of all predictions. Adds to d_x [n, D].
template <class T>
void head_backward_end(const HeadParameters& parameters, const HeadWeights& weights,
                       Matrix<const float> x, Matrix<float> d_x, HeadActivations<T>& act,
                       HeadScratch<T>& scratch, const GradientBuffer& gradient) {
  norm_backward<float>(x, weights.norm, 0, act.norm, scratch.d_norm.view(x.rows), d_x,
                       parameters.norm, gradient);
}

}  // namespace combiner
