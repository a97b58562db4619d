// The operations for which there is more than the portable implementation, and which one runs.
#pragma once

#include "kernels/activation.h"
#include "kernels/attend.h"
#include "kernels/layer_norm.h"
#include "kernels/panels_storage.h"

namespace combiner {

// All are for bfloat16, except the panels' kernels of other weights.
struct KernelTable {
  void (*activate)(Activation activation, Matrix<const bfloat16> x, Matrix<bfloat16> y,
                   Matrix<bfloat16> activation_grad);
  void (*layer_norm)(Matrix<const float> x, const float* weight, const float* bias, float epsilon,
                     Matrix<bfloat16> y, RowMoments* moments);
  void (*attend)(const AttentionTile<bfloat16>& tile, const AttentionOutput<bfloat16>& output,
                 Merge merge, Scratch& scratch);
  void (*attend_causal_and_full)(const AttentionTile<bfloat16>& tile,
                                 const AttentionOutput<bfloat16>& output,
                                 const AttentionOutput<bfloat16>& whole, Scratch& scratch);
  void (*attend_spans)(std::span<const DecodedPosition<bfloat16>> positions, int64_t head_dim,
                       float scale, Scratch& scratch);
  void (*attend_backward)(const AttentionTile<bfloat16>& tile,
                          const AttentionOutputGradient& output, const AttentionGradient& gradient,
                          Scratch& scratch);
  void (*attend_causal_and_full_backward)(const AttentionTile<bfloat16>& tile,
                                          const AttentionOutputGradient& output,
                                          const AttentionOutputGradient& whole,
                                          const RoundedAttentionGradient<bfloat16>& gradient,
                                          Scratch& scratch);
  const PanelKernel& (*float_panels)();
  const PanelKernel& (*bfloat16_panels)();
  const PanelKernel& (*int8_panels)();
  // c = a^T b, or c += a^T b with `accumulate`, for a [depth, rows] and b [depth, columns]: the
  // gradient of a dense layer's weights over a batch of positions. Accumulates in float. Null if
  // oneDNN is the better choice.
  void (*multiply_transposed)(Matrix<const bfloat16> a, Matrix<const bfloat16> b, Matrix<float> c,
                              bool accumulate, Scratch& scratch);
};

// The implementations for cpu_features().
const KernelTable& kernels();

}  // namespace combiner
