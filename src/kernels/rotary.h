// Rotation of pairs of elements of queries and keys, for rotary position embeddings.
#pragma once

#include <cstdint>

#include "combiner/matrix.h"
#include "tensor/bfloat16.h"

namespace combiner {

// The angles of a grid's rows and columns, head_dim / 4 for each. A row of `of_row` and `of_column`
// has head_dim / 2 elements: the cosines of the angles, then their sines.
struct RotaryAngles {
  Matrix<const float> of_row, of_column;
};

enum class Rotation { forward, back };

// Rotates every head of every row of `from`. Row i holds position `first` + i in raster order; a
// head is head_dim consecutive columns. Elements j and j + head_dim / 2 of a head, for
// j < head_dim / 2, are the coordinates of a point, which is rotated about the origin by the
// position's angle j, or by its negative with Rotation::back. The angles of a position are those of
// its grid row followed by those of its grid column. `to` may be `from` if they have the same type.
template <class From, class To>
void rotate_heads(Matrix<const From> from, int64_t first, const RotaryAngles& angles,
                  Rotation rotation, Matrix<To> to);

}  // namespace combiner
