// Dense layers: y = x W^T + bias, where W is [out, in].
#pragma once

#include <optional>
#include <string>
#include <type_traits>

#include "kernels/activation.h"
#include "kernels/panels.h"
#include "kernels/rows.h"
#include "matmul/matmul.h"
#include "model/parameters.h"
#include "model/worker.h"

namespace combiner {

struct DenseParameters {
  size_t weight = 0;           // offset of [out, in]
  std::optional<size_t> bias;  // offset of [out]
  int64_t out = 0, in = 0;

  DenseParameters() = default;
  // A layer without bias, whose `weight` has already been appended.
  DenseParameters(ParameterLayout& layout, size_t weight_, int64_t out_, int64_t in_)
      : weight(weight_), out(out_), in(in_) {
    layout.dense.push_back({weight, out, in});
  }
  // Appends a quantizable weight SCOPE.weight and a bias SCOPE.bias.
  static DenseParameters with_bias(ParameterLayout& layout, const std::string& scope, int64_t out,
                                   int64_t in, ParameterKind weight_kind) {
    DenseParameters dense(layout, layout.add(scope + ".weight", {out, in}, weight_kind, true), out,
                          in);
    dense.bias = layout.add(scope + ".bias", {out});
    return dense;
  }
  // Appends a block's weight SCOPE.weight [D, D], quantizable and without bias.
  static DenseParameters square(ParameterLayout& layout, const std::string& scope, int64_t dim) {
    return {layout, layout.add(scope + ".weight", {dim, dim}, ParameterKind::matrix, true), dim,
            dim};
  }
  // Appends the layer that computes the logits of a sub-pixel's `vocab` values.
  static DenseParameters logits(ParameterLayout& layout, const std::string& scope, int64_t vocab,
                                int64_t in) {
    DenseParameters dense(
        layout, layout.add(scope + ".weight", {vocab, in}, ParameterKind::value_table), vocab, in);
    dense.bias = layout.add(scope + ".bias", {vocab}, ParameterKind::value_table);
    return dense;
  }
};

struct DenseWeights {
  PackedWeights weight;
  PackedWeights transposed;  // training only
  const float* bias = nullptr;
};

// The forward pass, with the layer's bias and the rest of the epilogue. All threads of the worker's
// share jointly multiply weights in panels; other weights need a worker whose share is all of the
// work.
template <class X, class Y>
void dense(Worker& worker, Matrix<X> x, const DenseWeights& layer, Matrix<Y> y,
           Epilogue epilogue = {}) {
  worker.cancel.poll();
  epilogue.bias = layer.bias;
  const PanelWeights* panels = layer.weight.panels();
  if (!panels) return worker.multiplier.multiply(plain(x), layer.weight, y, epilogue);
  worker.share.parallel_for(panels->panel_count(), [&](int64_t first, int64_t number) {
    multiply_panels<std::remove_const_t<X>, Y>(x, *panels, y, epilogue, {first, first + number},
                                               worker.scratch);
  });
}

// y = activation(dense layer of x), computed by all threads of the share. If `activation_grad` has
// data, it receives the derivative of the activation for the backward pass.
template <class T>
void dense_activated(Worker& worker, Matrix<T> x, const DenseWeights& layer, Activation activation,
                     Matrix<T> activation_grad, Matrix<T> y) {
  if (!activation_grad.data) return dense(worker, x, layer, y, {.activation = activation});
  dense(worker, x, layer, activation_grad);
  worker.share.parallel_for(x.rows, [&](int64_t first, int64_t rows) {
    const Matrix<T> part = activation_grad.row_block(first, rows);
    activate<T>(activation, part, y.row_block(first, rows), part);
  });
}

// Backward of the input: d_x = d_y W, or d_x += d_y W to accumulate.
template <class T, class DX>
void dense_backward_input(Worker& worker, Matrix<T> d_y, const DenseWeights& layer, Matrix<DX> d_x,
                          bool accumulate = false) {
  worker.cancel.poll();
  worker.multiplier.multiply(plain(d_y), layer.transposed, d_x, {.accumulate = accumulate});
}

// Backward of the weight: d_W = d_y^T x, or d_W += d_y^T x to accumulate.
template <class T>
void dense_backward_weight(Worker& worker, Matrix<T> d_y, Matrix<T> x, const DenseParameters& layer,
                           const GradientBuffer& gradient, bool accumulate = true) {
  worker.cancel.poll();
  worker.multiplier.multiply(transposed(d_y), plain(x),
                             Matrix<float>(gradient.values + layer.weight, layer.out, layer.in),
                             accumulate);
}

// Backward of the bias: adds the column sums of d_y.
template <class T>
void dense_backward_bias(Matrix<T> d_y, const DenseParameters& layer,
                         const GradientBuffer& gradient) {
  add_column_sums<std::remove_const_t<T>>(d_y, gradient.values + *layer.bias);
}

}  // namespace combiner
