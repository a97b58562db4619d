// attend_spans with AMX; used by the kernels only.
#pragma once

#include "kernels/attend.h"

namespace combiner {

// Does the same as attend_spans, or returns false and does nothing if the processor or the shape is
// unsupported. Weights are rounded to bfloat16 and divided by the sum of the rounded weights.
bool attend_spans_by_tiles(std::span<const DecodedPosition<bfloat16>> positions, int64_t head_dim,
                           float scale, Scratch& scratch);

}  // namespace combiner
