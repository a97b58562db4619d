// Elementwise maxima, which form the queries and keys of abstractions (paper, section 3.2).
#pragma once

#include <cstdint>

#include "tensor/bfloat16.h"

namespace combiner {

// out[j] = max(a[j], b[j]) for `count` elements. `out` may be a or b. T is float or bfloat16.
template <class T>
void maximum(const T* a, const T* b, int64_t count, T* out);

// Backward pass of one operand. Where x equals the maximum, moves the gradient to it:
// d_x[j] += gradient[j] and gradient[j] = 0. So among equal operands only the first one processed
// receives the gradient.
template <class T>
void maximum_backward(const T* x, const T* maximum, int64_t count, float* gradient, float* d_x);

}  // namespace combiner
