// Turning pairs of numbers by angles: what rotary positions do to queries and keys.
#pragma once

#include <cstdint>

#include "combiner/matrix.h"
#include "tensor/bfloat16.h"

namespace combiner {

// The angles of a grid's rows and columns, head_dim / 4 each: rows of head_dim / 2 numbers, the
// cosines of the angles, then their sines.
struct RotaryAngles {
  Matrix<const float> of_row, of_column;
};

enum class Turn { forward, back };

// For each row of `from`, the positions from `first` on in raster order: in each of its heads
// (head_dim consecutive columns) number i < head_dim / 2 and number i + head_dim / 2 are the
// coordinates of a point, which is turned about the origin by angle i of the position, or by its
// negative with Turn::back. The position's angles are those of its row, then those of its column.
// `to` may be `from` if they are of one type.
template <class From, class To>
void turn_heads(Matrix<const From> from, int64_t first, const RotaryAngles& angles, Turn turn,
                Matrix<To> to);

}  // namespace combiner
