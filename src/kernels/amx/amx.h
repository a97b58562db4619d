// The implementations for AMX. Require cpu_features().amx.
#pragma once

#include "kernels/attend.h"
#include "kernels/panels_storage.h"

namespace combiner::amx {

void attend(const AttentionTile<bfloat16>& tile, const AttentionOutput<bfloat16>& output,
            Merge merge, Scratch& scratch);
void attend_causal_and_full(const AttentionTile<bfloat16>& tile,
                            const AttentionOutput<bfloat16>& output,
                            const AttentionOutput<bfloat16>& whole, Scratch& scratch);
// Weights are rounded to bfloat16 and divided by the sum of the rounded weights.
void attend_spans(std::span<const DecodedPosition<bfloat16>> positions, int64_t head_dim,
                  float scale, Scratch& scratch);
void attend_backward(const AttentionTile<bfloat16>& tile, const AttentionOutputGradient& output,
                     const AttentionGradient& gradient, Scratch& scratch);
void attend_causal_and_full_backward(const AttentionTile<bfloat16>& tile,
                                     const AttentionOutputGradient& output,
                                     const AttentionOutputGradient& whole,
                                     const RoundedAttentionGradient<bfloat16>& gradient,
                                     Scratch& scratch);

// Panels padded to whole tiles. Float inputs of bfloat16 weights are left to the portable kernel.
const PanelKernel& bfloat16_panels();
const PanelKernel& int8_panels();

void multiply_transposed(Matrix<const bfloat16> a, Matrix<const bfloat16> b, Matrix<float> c,
                         bool accumulate, Scratch& scratch);

}  // namespace combiner::amx
