// Weights of dense and normalisation layers, and what a thread computes them with.
#pragma once

#include <type_traits>

#include "kernels/attend.h"
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

// Dense is PackedWeights or PanelWeights.
template <class Dense>
struct DenseWeights {
  Dense weight;
  const float* bias = nullptr;
};

}  // namespace combiner
