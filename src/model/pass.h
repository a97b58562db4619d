// The kinds of passes over a model, and how many positions they process at a time.
#pragma once

#include <algorithm>
#include <cstdint>

#include "tensor/owned_matrix.h"

namespace combiner {

// Whether a backward pass will follow. It reads more of what the forward pass computed.
enum class Pass { forward_only, forward_backward };

// A matrix that only the backward pass needs: empty if there is none.
template <class T>
OwnedMatrix<T> for_backward(Pass pass, int64_t rows, int64_t columns) {
  return pass == Pass::forward_backward ? OwnedMatrix<T>(rows, columns) : OwnedMatrix<T>();
}

// The number of positions that a block processes at a time, chosen so that the output of one
// product is still in the L2 cache when the next one reads it.
constexpr int64_t kPositionsAtOnce = 128;

// The number of positions whose contribution to a weight gradient is added at once: few enough that
// the backward pass's results for them are still in the L2 cache, many enough that gradients are
// rarely read and written.
constexpr int64_t kBackwardPositions = 512;

}  // namespace combiner
