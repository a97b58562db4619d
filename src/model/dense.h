// Weights of dense and normalisation layers, and what a thread computes them with.
#pragma once

#include <type_traits>

#include "kernels/attend.h"
#include "kernels/layer_norm.h"
#include "kernels/panels.h"
#include "matmul/matmul.h"
#include "tensor/share.h"

namespace combiner {

// What one thread computes with: its share of what it does with others, and products' primitives
// and scratch memory, kept from call to call.
struct Worker {
  Share share;
  Multiplier multiplier;
  AttentionScratch attention;
};

// A dense layer over many rows (likelihood, training), by one thread ...
template <class X, class Y>
void dense(Worker& worker, Matrix<X> x, const PackedWeights& weights, Matrix<Y> y,
           bool accumulate = false, const float* bias = nullptr) {
  worker.multiplier.multiply(plain(x), weights, y, accumulate, bias);
}
// ... and over few (decoding), by all threads of the share together.
template <class X, class Y>
void dense(Worker& worker, Matrix<X> x, const PanelWeights& weights, Matrix<Y> y,
           bool accumulate = false, const float* bias = nullptr) {
  worker.share.divide(weights.panel_count(), [&](int64_t first, int64_t number) {
    multiply_panels<std::remove_const_t<X>, Y>(x, weights, y, accumulate, bias,
                                               {first, first + number});
  });
}

struct NormWeights {
  const float* weight = nullptr;
  const float* bias = nullptr;
};

// y = LayerNorm(x), by all threads of the share together.
template <class T>
void normalise(Worker& worker, Matrix<const float> x, const NormWeights& weights, double epsilon,
               Matrix<T> y, Buffer<RowMoments>& moments) {
  worker.share.divide(x.rows, [&](int64_t first, int64_t rows) {
    layer_norm<T>(x.row_block(first, rows), weights.weight, weights.bias,
                  static_cast<float>(epsilon), y.row_block(first, rows), moments.data() + first);
  });
}

// work(x, y) of matrices of one shape whose columns have nothing to do with each other, by all
// threads of the share together.
template <class X, class Y, class Work>
void by_columns(Worker& worker, Matrix<X> x, Matrix<Y> y, Work&& work) {
  worker.share.divide(x.columns, [&](int64_t first, int64_t columns) {
    work(x.column_block(first, columns), y.column_block(first, columns));
  });
}

// Dense is PackedWeights or PanelWeights.
template <class Dense>
struct DenseWeights {
  Dense weight;
  const float* bias = nullptr;
};

}  // namespace combiner
