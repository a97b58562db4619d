// A pre-norm transformer block: x += Attention(LayerNorm(x)); x += MLP(LayerNorm(x)).
#pragma once

#include "kernels/activation.h"
#include "kernels/layer_norm.h"
#include "kernels/rows.h"
#include "model/activations.h"
#include "model/config.h"
#include "model/layers.h"

namespace combiner {

// sum = x + layer(in), where `sum` may be x, and is if threads share the work.
template <class T, class Dense>
void add_residual(Worker& worker, Matrix<const float> x, Matrix<const T> in, const Dense& layer,
                  Matrix<float> sum, const float* bias = nullptr) {
  if (sum.data != x.data) convert<float, float>(x, sum);
  dense(worker, in, layer, sum, {.accumulate = true, .bias = bias});
}

// n positions: x, middle (the sum after attention) and out are [n, D] and may be one matrix.
// `attend` is called once act.norm1 and act.query_key_value are there, and fills act.attended and
// act.attended_in. All threads of the worker's share call this with the same arguments but the
// worker.
template <class T, class Dense, class Attend>
void block_forward(const ModelConfig& config, const BlockWeights<Dense>& weights,
                   Matrix<const float> x, Matrix<float> middle, Matrix<float> out,
                   BlockActivations<T>& act, Worker& worker, Attend&& attend) {
  const int64_t n = x.rows;
  normalise<T>(worker, x, weights.norm1, config.norm_epsilon, act.norm1.view(n), act.moments1);
  dense(worker, act.norm1.view(n), weights.query_key_value, act.query_key_value.view(n));
  attend();
  add_residual<T>(worker, x, act.attended_in.view(n), weights.output, middle);

  normalise<T>(worker, middle, weights.norm2, config.norm_epsilon, act.norm2.view(n), act.moments2);
  dense_activated(worker, act.norm2.view(n), weights.up, config.activation, act.up.view(n),
                  act.activated.view(n));
  add_residual<T>(worker, middle, act.activated.view(n), weights.down.weight, out,
                  weights.down.bias);
}

}  // namespace combiner
