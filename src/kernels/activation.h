// The MLP's activation functions, element by element.
#pragma once

#include "combiner/config.h"
#include "combiner/matrix.h"
#include "tensor/bfloat16.h"

namespace combiner {

// y = relu(x), or gelu(x) = x sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3)), the tanh form. y may be x.
// The derivative at x goes to `activation_grad`, if that has data, for the backward pass; it may be
// x too.
template <class T>
void activate(Activation activation, Matrix<const T> x, Matrix<T> y,
              Matrix<T> activation_grad = {});

}  // namespace combiner
