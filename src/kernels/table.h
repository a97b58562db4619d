// The operations for which there is more than the portable implementation, and which one runs.
#pragma once

#include "kernels/portable/portable.h"

namespace combiner {

// All are for bfloat16, except the panels' kernels of other weights. Declared as the portable ones
// are (kernels/portable/portable.h).
struct KernelTable {
  decltype(&portable::activate<bfloat16>) activate;
  decltype(&portable::layer_norm<bfloat16>) layer_norm;
  decltype(&portable::attend<bfloat16>) attend;
  decltype(&portable::attend_causal_and_full<bfloat16>) attend_causal_and_full;
  decltype(&portable::attend_spans<bfloat16>) attend_spans;
  decltype(&portable::attend_backward<bfloat16>) attend_backward;
  decltype(&portable::attend_causal_and_full_backward<bfloat16>) attend_causal_and_full_backward;
  decltype(&portable::float_panels) float_panels;
  decltype(&portable::bfloat16_panels) bfloat16_panels;
  decltype(&portable::int8_panels) int8_panels;
  // c = a^T b, or c += a^T b with `accumulate`, for a [depth, rows] and b [depth, columns]: the
  // gradient of a dense layer's weights over a batch of positions. Accumulates in float. Null if
  // oneDNN is the better choice.
  void (*multiply_transposed)(Matrix<const bfloat16> a, Matrix<const bfloat16> b, Matrix<float> c,
                              bool accumulate, Scratch& scratch);
};

// The implementations for cpu_features().
const KernelTable& kernels();

}  // namespace combiner
