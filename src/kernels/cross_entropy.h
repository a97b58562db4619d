// Softmax cross-entropy over rows of logits.
#pragma once

#include <cstdint>
#include <span>

#include "combiner/matrix.h"
#include "tensor/bfloat16.h"

namespace combiner {

// nats[i] = -log softmax(row i of logits)[targets[i]]. A row has at most 256 logits.
void cross_entropy(Matrix<const float> logits, const uint8_t* targets, float* nats);

// The same, and d_logits = scale (softmax - one_hot(target)).
template <class T>
void cross_entropy_gradient(Matrix<const float> logits, const uint8_t* targets, float scale,
                            float* nats, Matrix<T> d_logits);

// The largest logit, and whether all logits are finite.
struct LogitRange {
  float maximum;
  bool finite;
};
LogitRange logit_range(std::span<const float> logits);

// weights[j] = exp((logits[j] - maximum) * factor).
void softmax_weights(std::span<const float> logits, float maximum, float factor,
                     std::span<float> weights);

}  // namespace combiner
