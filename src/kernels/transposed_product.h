// The gradient of a dense layer's weights over a batch of positions: the transposed gradient of its
// outputs times its inputs.
#pragma once

#include "combiner/matrix.h"
#include "kernels/scratch.h"
#include "tensor/bfloat16.h"

namespace combiner {

// c = a^T b, or c += a^T b with `accumulate`, for a [depth, rows] and b [depth, columns].
// Accumulates in float. Uses AMX: requires amx_available().
void multiply_transposed(Matrix<const bfloat16> a, Matrix<const bfloat16> b, Matrix<float> c,
                         bool accumulate, Scratch& scratch);

}  // namespace combiner
