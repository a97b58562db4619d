// What a pass over a model is for.
#pragma once

#include <algorithm>
#include <cstdint>

#include "tensor/owned_matrix.h"

namespace combiner {

// Whether a backward pass follows, which reads more of what the forward pass computed.
enum class Pass { forward_only, forward_backward };

// A matrix for the backward pass: without data if there is none.
template <class T>
OwnedMatrix<T> for_backward(Pass pass, int64_t rows, int64_t columns) {
  return pass == Pass::forward_backward ? OwnedMatrix<T>(rows, columns) : OwnedMatrix<T>();
}

// Positions that a block works on at a time, so that what one product leaves for the next stays in
// the second cache.
constexpr int64_t kPositionsAtOnce = 128;

// Positions whose part of a weight's gradient is added at once: few enough that what the backward
// pass made of them is still in the second cache, many enough that gradients are read and written
// seldom.
constexpr int64_t kBackwardPositions = 512;

}  // namespace combiner
