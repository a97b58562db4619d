// What a dense layer's weights get of a batch of positions: the gradients of its outputs,
// transposed, times its inputs.
#pragma once

#include "combiner/matrix.h"
#include "kernels/scratch.h"
#include "tensor/bfloat16.h"

namespace combiner {

// c = a^T b, or c += a^T b with `accumulate`, of a [depth, rows] and b [depth, columns],
// accumulated in float. By tile registers: only where amx_available().
void multiply_transposed(Matrix<const bfloat16> a, Matrix<const bfloat16> b, Matrix<float> c,
                         bool accumulate, Scratch& scratch);

}  // namespace combiner
