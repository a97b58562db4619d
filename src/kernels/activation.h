// The MLP's activation functions, element by element.
#pragma once

#include "tensor/bfloat16.h"
#include "tensor/matrix.h"

namespace combiner {

enum class Activation { relu, gelu };

// y = relu(x), or gelu(x) = x sigmoid(2 sqrt(2/pi) (x + 0.044715 x^3)), the tanh form. y may be x.
template <class T>
void activate(Activation activation, Matrix<const T> x, Matrix<T> y);

// d_x = d_y times the derivative at x. d_x may be d_y.
template <class T>
void activate_backward(Activation activation, Matrix<const T> x, Matrix<const T> d_y,
                       Matrix<T> d_x);

}  // namespace combiner
