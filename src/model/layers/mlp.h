// The MLP: x += Down(activation(Up(LayerNorm(x)))).
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "base/for_each_band.h"
#include "combiner/config.h"
#include "model/layers/dense.h"
#include "model/layers/norm.h"
#include "model/packed_parameters.h"
#include "model/pass.h"
#include "model/residual.h"

namespace combiner {

// In these, D = embed_dim and F = mlp_dim; T is the operand type of matrix products, float or
// bfloat16.

struct MlpParameters {
  NormParameters norm;
  DenseParameters up, down;  // [F, D], [D, F]

  // `scope` is the name of the block.
  MlpParameters(ParameterLayout& layout, const ModelConfig& config, const std::string& scope)
      : norm(layout, scope + ".norm2", config.embed_dim),
        up(DenseParameters::with_bias(layout, scope + ".mlp.up", config.mlp_dim, config.embed_dim,
                                      ParameterKind::matrix)),
        down(DenseParameters::with_bias(layout, scope + ".mlp.down", config.embed_dim,
                                        config.mlp_dim, ParameterKind::matrix)) {}
};

struct MlpWeights {
  NormWeights norm;
  DenseWeights up, down;

  MlpWeights(const MlpParameters& parameters, const PackedParameters& packed)
      : norm(packed.norm(parameters.norm)),
        up(packed.dense(parameters.up)),
        down(packed.dense(parameters.down)) {}
};

// With a backward pass, holds all n positions; otherwise only those being processed, so that they
// stay in cache.
template <class T>
struct MlpActivations {
  MlpActivations(const ModelConfig& config, int64_t n, Pass pass)
      : norm(rows(n, pass), config.embed_dim),
        activation_grad(for_backward<T>(pass, n, config.mlp_dim)),
        hidden(rows(n, pass), config.mlp_dim) {}

  // The row where the positions from `first` on begin.
  int64_t row(int64_t first) const { return activation_grad.view().data ? first : 0; }

  NormActivations<T> norm;
  OwnedMatrix<T> activation_grad;  // [n, F]
  OwnedMatrix<T> hidden;           // [n, F] after the activation

 private:
  static int64_t rows(int64_t n, Pass pass) {
    return pass == Pass::forward_backward ? n : std::min(n, kPositionsAtOnce);
  }
};

// out = x + MLP(LayerNorm(x)) for at most kPositionsAtOnce positions from `first` on. x and out
// [n, D] are their rows and may be the same matrix. Serves many positions of one image, and one
// position of many images (first = 0). The threads of the worker's share compute it jointly.
template <class T>
void mlp_forward(const ModelConfig& config, const MlpWeights& weights, Matrix<const float> x,
                 int64_t first, Matrix<float> out, MlpActivations<T>& act, Worker& worker) {
  const int64_t row = act.row(first);
  const auto band = [&](auto m) { return m.row_block(row, x.rows); };
  const Matrix<T> norm =
      norm_forward<T>(worker, x, weights.norm, config.norm_epsilon, row, act.norm);
  const Matrix<T> hidden = band(act.hidden.view());
  dense_activated(worker, norm, weights.up, config.activation, band(act.activation_grad.view()),
                  hidden);
  add_residual<T>(worker, x, hidden, weights.down, out);
}

// Scratch memory for up to kBackwardPositions positions.
template <class T>
struct MlpScratch {
  explicit MlpScratch(const ModelConfig& config)
      : d_hidden(std::min<int64_t>(config.positions(), kBackwardPositions), config.mlp_dim) {}

  OwnedMatrix<T> d_hidden;  // [n, F]
};

// Backward of mlp_forward for positions first .. first + n - 1. Their rows of d.x hold the gradient
// of the output on entry and that of x on return. `x` [L, D] is the whole image's input.
template <class T>
void mlp_backward(const MlpParameters& parameters, const MlpWeights& weights, Matrix<float> x,
                  int64_t first, int64_t n, MlpActivations<T>& act, ResidualGradient<T>& d,
                  MlpScratch<T>& scratch, const GradientBuffer& gradient, Worker& worker) {
  const auto band = [&](auto m) { return m.row_block(first, n); };
  const bool accumulate = gradient.accumulate_matrices || first > 0;
  const Matrix<float> d_x = band(d.x.view());
  const Matrix<const T> d_out = d.as_product_input(d_x);
  dense_backward_weight<const T>(worker, d_out, band(act.hidden.view()), parameters.down, gradient,
                                 accumulate);
  dense_backward_bias(d_x, parameters.down, gradient);
  for_each_band(n, kPositionsAtOnce, [&](int64_t at, int64_t count) {
    const Matrix<T> d_hidden = scratch.d_hidden.view().row_block(at, count);
    const Matrix<float> d_norm = d.norm.view(count);
    dense_backward_input(worker, d_out.row_block(at, count), weights.down, d_hidden);
    multiply_elements<T>(act.activation_grad.view().row_block(first + at, count), d_hidden);
    dense_backward_bias(d_hidden, parameters.up, gradient);
    dense_backward_input(worker, d_hidden, weights.up, d_norm);
    norm_backward<T>(x.row_block(first + at, count), weights.norm, first + at, act.norm, d_norm,
                     d_x.row_block(at, count), parameters.norm, gradient);
  });
  dense_backward_weight<T>(worker, scratch.d_hidden.view(n), band(act.norm.out.view()),
                           parameters.up, gradient, accumulate);
}

}  // namespace combiner
