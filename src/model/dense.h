// Weights of dense and normalisation layers, and what a thread computes them with.
#pragma once

#include <type_traits>

#include "kernels/activation.h"
#include "kernels/layer_norm.h"
#include "kernels/panels.h"
#include "kernels/scratch.h"
#include "matmul/matmul.h"
#include "tensor/buffer.h"
#include "tensor/share.h"

namespace combiner {

// What one thread computes with: its share of what it does with others, and products' primitives
// and scratch memory, kept from call to call.
struct Worker {
  Share share;
  Multiplier multiplier;
  Scratch scratch;
};

// A dense layer over many rows (likelihood, training), by one thread: y = x weights^T, and on with
// the epilogue.
template <class X, class Y>
void dense(Worker& worker, Matrix<X> x, const PackedWeights& weights, Matrix<Y> y,
           const Epilogue& epilogue = {}) {
  worker.multiplier.multiply(plain(x), weights, y, epilogue);
}
// The same over few (decoding), by all threads of the share together.
template <class X, class Y>
void dense(Worker& worker, Matrix<X> x, const PanelWeights& weights, Matrix<Y> y,
           const Epilogue& epilogue = {}) {
  worker.share.divide(weights.panel_count(), [&](int64_t first, int64_t number) {
    multiply_panels<std::remove_const_t<X>, Y>(x, weights, y, epilogue, {first, first + number},
                                               worker.scratch);
  });
}

struct NormWeights {
  const float* weight = nullptr;
  const float* bias = nullptr;
};

// y = LayerNorm(x), by all threads of the share together.
template <class T>
void normalise(Worker& worker, Matrix<const float> x, const NormWeights& weights, double epsilon,
               Matrix<T> y, RowMoments* moments) {
  worker.share.divide(x.rows, [&](int64_t first, int64_t rows) {
    layer_norm<T>(x.row_block(first, rows), weights.weight, weights.bias,
                  static_cast<float>(epsilon), y.row_block(first, rows), moments + first);
  });
}

// Dense is PackedWeights or PanelWeights.
template <class Dense>
struct DenseWeights {
  Dense weight;
  const float* bias = nullptr;
};

// activated = activation(the dense layer of x). How steep the activation is there goes to `slope`,
// for the backward pass, unless that has no data.
template <class T, class Dense>
void dense_activated(Worker& worker, Matrix<T> x, const DenseWeights<Dense>& layer,
                     Activation activation, Matrix<T> slope, Matrix<T> activated) {
  if (!slope.data)
    return dense(worker, x, layer.weight, activated,
                 {.bias = layer.bias, .activation = activation});
  dense(worker, x, layer.weight, slope, {.bias = layer.bias});
  worker.share.divide(x.rows, [&](int64_t first, int64_t rows) {
    const Matrix<T> part = slope.row_block(first, rows);
    activate<T>(activation, part, activated.row_block(first, rows), part);
  });
}

}  // namespace combiner
