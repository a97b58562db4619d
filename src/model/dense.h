// Weights of dense and normalisation layers, and what a thread computes them with.
#pragma once

#include <algorithm>
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

// A dense layer over many rows (likelihood, training), by one thread. Calls then(first, columns)
// once those outputs are there.
template <class X, class Y, class Then>
void dense_then(Worker& worker, Matrix<X> x, const PackedWeights& weights, Matrix<Y> y,
                bool accumulate, const float* bias, Then&& then) {
  worker.multiplier.multiply(plain(x), weights, y, accumulate, bias);
  then(0, y.columns);
}
// The same over few (decoding), by all threads of the share together: each calls `then` for the
// outputs that it has made, without waiting for the others.
template <class X, class Y, class Then>
void dense_then(Worker& worker, Matrix<X> x, const PanelWeights& weights, Matrix<Y> y,
                bool accumulate, const float* bias, Then&& then) {
  constexpr int64_t kWidth = PanelWeights::kPanelWidth;
  worker.share.divide(weights.panel_count(), [&](int64_t first, int64_t number) {
    multiply_panels<std::remove_const_t<X>, Y>(x, weights, y, accumulate, bias,
                                               {first, first + number}, worker.scratch);
    then(first * kWidth, std::min(number * kWidth, y.columns - first * kWidth));
  });
}
template <class X, class Y, class Dense>
void dense(Worker& worker, Matrix<X> x, const Dense& weights, Matrix<Y> y, bool accumulate = false,
           const float* bias = nullptr) {
  dense_then(worker, x, weights, y, accumulate, bias, [](int64_t, int64_t) {});
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

// y = the dense layer of x, activated = activation(y).
template <class T, class Dense>
void dense_activated(Worker& worker, Matrix<T> x, const DenseWeights<Dense>& layer,
                     Activation activation, Matrix<T> y, Matrix<T> activated) {
  dense_then(worker, x, layer.weight, y, false, layer.bias, [&](int64_t first, int64_t columns) {
    activate<T>(activation, y.column_block(first, columns), activated.column_block(first, columns));
  });
}

}  // namespace combiner
