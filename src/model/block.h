// A pre-norm transformer block: x += Attention(LayerNorm(x)); x += MLP(LayerNorm(x)).
#pragma once

#include <cstdint>

#include "base/for_each_band.h"
#include "base/round_up.h"
#include "combiner/config.h"
#include "model/layers/attention.h"
#include "model/layers/mlp.h"

namespace combiner {

struct BlockParameters {
  size_t first;  // the offset of the first one
  AttentionParameters attention;
  MlpParameters mlp;

  // Appends the parameters of block `index`, named blocks.INDEX.*.
  BlockParameters(ParameterLayout& layout, const ModelConfig& config, size_t index)
      : BlockParameters(layout, config, index, "blocks." + std::to_string(index)) {}

 private:
  BlockParameters(ParameterLayout& layout, const ModelConfig& config, size_t index,
                  const std::string& scope)
      : first(layout.size),
        attention(layout, config, config.attention[index], scope),
        mlp(layout, config, scope) {}
};

struct BlockWeights {
  AttentionWeights attention;
  MlpWeights mlp;

  BlockWeights(Attention variant, const AttentionShape& shape, const BlockParameters& parameters,
               const PackedParameters& packed)
      : attention(variant, shape, parameters.attention, packed), mlp(parameters.mlp, packed) {}
};

// Activations for up to n positions. T is the operand type of matrix products, float or bfloat16.
template <class T>
struct BlockActivations {
  BlockActivations(const ModelConfig& config, int64_t n, Pass pass)
      : attention(config, n), mlp(config, n, pass) {}

  AttentionActivations<T> attention;
  MlpActivations<T> mlp;
};

// The size of a block's state for one image, in elements of T. The state persists from row to row
// and from position to position.
template <class T>
int64_t block_state_size(Attention variant, const AttentionShape& shape) {
  // Rounded up, so that the next block's state is aligned, which may begin with floats.
  constexpr int64_t kAlignment = 64 / sizeof(T);
  return round_up(attention_state_size<T>(variant, shape), kAlignment);
}
template <class T>
int64_t block_state_size(const BlockWeights& block) {
  return block_state_size<T>(block.attention.variant, block.attention.shape);
}

// The forward pass of n positions. x, middle (the sum after attention) and out are [n, D] and may
// be the same matrix. `attend` is called once all positions are projected; it calls
// attention_attend for a whole image or attention_step for decoding. All threads of the worker's
// share call this with the same arguments except the worker.
template <class T, class Attend>
void block_forward(const ModelConfig& config, const BlockWeights& weights, Matrix<const float> x,
                   Matrix<float> middle, Matrix<float> out, BlockActivations<T>& act,
                   Worker& worker, Attend&& attend) {
  for_each_band(x.rows, kPositionsAtOnce, [&](int64_t first, int64_t n) {
    attention_project(config, weights.attention, x.row_block(first, n), first, act.attention,
                      worker);
  });
  attend();
  for_each_band(x.rows, kPositionsAtOnce, [&](int64_t first, int64_t n) {
    const auto band = [&](auto m) { return m.row_block(first, n); };
    attention_output(weights.attention, band(x), first, band(middle), act.attention, worker);
    mlp_forward<T>(config, weights.mlp, band(middle), first, band(out), act.mlp, worker);
  });
}

// Scratch memory shared by the backward passes of all blocks.
template <class T>
struct BlockScratch {
  explicit BlockScratch(const ModelConfig& config) : attention(config), mlp(config) {}

  AttentionScratch<T> attention;
  MlpScratch<T> mlp;
};

// Backward of block_forward for a whole image. On entry d.x holds the gradient of `out`; on return,
// that of `x`. `state` and `parts` must be as attention_attend left them.
template <class T>
void block_backward(const BlockParameters& parameters, const BlockWeights& weights, Matrix<float> x,
                    Matrix<float> middle, BlockActivations<T>& act, T* state,
                    PartsActivations<T>& parts, ResidualGradient<T>& d, BlockScratch<T>& scratch,
                    const GradientBuffer& gradient, Worker& worker) {
  for_each_band(x.rows, kBackwardPositions, [&](int64_t first, int64_t n) {
    mlp_backward(parameters.mlp, weights.mlp, middle, first, n, act.mlp, d, scratch.mlp, gradient,
                 worker);
    attention_output_backward(parameters.attention, weights.attention, first, n, act.attention, d,
                              scratch.attention, gradient, worker);
  });
  attention_attend_backward(parameters.attention, weights.attention, state, act.attention, parts, d,
                            scratch.attention, gradient, worker);
  for_each_band(x.rows, kBackwardPositions, [&](int64_t first, int64_t n) {
    attention_project_backward(parameters.attention, weights.attention, x, first, n, act.attention,
                               d, scratch.attention, gradient, worker);
  });
}

}  // namespace combiner
