// Element-wise activation functions of the MLP.
#pragma once

#include "combiner/config.h"
#include "combiner/matrix.h"
#include "tensor/bfloat16.h"

namespace combiner {

// y = relu(x), or y = gelu(x) in the tanh form: x sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3)). If
// `activation_grad` has data, it receives the derivative at x, for the backward pass. All matrices
// have the same shape. Either y or activation_grad may be x.
template <class T>
void activate(Activation activation, Matrix<const T> x, Matrix<T> y,
              Matrix<T> activation_grad = {});

}  // namespace combiner
