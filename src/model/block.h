// A pre-norm transformer block: x += Attention(LayerNorm(x)); x += MLP(LayerNorm(x)).
#pragma once

#include <cstdint>

#include "kernels/activation.h"
#include "kernels/layer_norm.h"
#include "kernels/rows.h"
#include "model/activations.h"
#include "model/config.h"
#include "model/layers.h"
#include "tensor/for_each_band.h"

namespace combiner {

// sum = x + layer(in), where `sum` may be x, and is if threads share the work.
template <class T, class Dense>
void add_residual(Worker& worker, Matrix<const float> x, Matrix<const T> in, const Dense& layer,
                  Matrix<float> sum, const float* bias = nullptr) {
  if (sum.data != x.data) convert<float, float>(x, sum);
  dense(worker, in, layer, sum, {.accumulate = true, .bias = bias});
}

// n positions: x, middle (the sum after attention) and out are [n, D] and may be one matrix.
// `attend` is called once act.norm1 and act.query_key_value are there, and fills act.attended_in.
// All threads of the worker's share call this with the same arguments but the worker.
template <class T, class Dense, class Attend>
void block_forward(const ModelConfig& config, const BlockWeights<Dense>& weights,
                   Matrix<const float> x, Matrix<float> middle, Matrix<float> out,
                   BlockActivations<T>& act, Worker& worker, Attend&& attend) {
  for_each_band(x.rows, kPositionsAtOnce, [&](int64_t first, int64_t n) {
    const Matrix<T> norm = act.norm1.view().row_block(first, n);
    normalise<T>(worker, x.row_block(first, n), weights.norm1, config.norm_epsilon, norm,
                 act.moments1.data() + first);
    dense(worker, norm, weights.query_key_value, act.query_key_value.view().row_block(first, n));
  });
  attend();
  for_each_band(x.rows, kPositionsAtOnce, [&](int64_t first, int64_t n) {
    const auto band = [&](auto m) { return m.row_block(first, n); };
    const int64_t mlp_first = act.mlp_row(first);
    const auto mlp_band = [&](auto m) { return m.row_block(mlp_first, n); };
    add_residual<T>(worker, band(x), band(act.attended_in.view()), weights.output, band(middle));

    const Matrix<T> norm = mlp_band(act.norm2.view());
    const Matrix<T> activated = mlp_band(act.activated.view());
    normalise<T>(worker, band(middle), weights.norm2, config.norm_epsilon, norm,
                 act.moments2.data() + mlp_first);
    dense_activated(worker, norm, weights.up, config.activation, mlp_band(act.slope.view()),
                    activated);
    add_residual<T>(worker, band(middle), activated, weights.down.weight, band(out),
                    weights.down.bias);
  });
}

}  // namespace combiner
