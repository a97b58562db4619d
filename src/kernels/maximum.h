// Elementwise maxima: what the queries and keys of abstractions are made of (paper, section 3.2).
#pragma once

#include <cstdint>

#include "tensor/bfloat16.h"

namespace combiner {

// out[j] = max(a[j], b[j]) for `count` elements; out may be a or b. T is float or bfloat16.
template <class T>
void maximum(const T* a, const T* b, int64_t count, T* out);

// Where x is the maximum it went into, moves the maximum's gradient to x's: d_x[j] += gradient[j]
// and gradient[j] = 0. So of equal elements only the one asked first receives it.
template <class T>
void maximum_backward(const T* x, const T* maximum, int64_t count, float* gradient, float* d_x);

}  // namespace combiner
