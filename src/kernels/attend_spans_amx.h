// attend_spans by tile registers; for the kernels alone.
#pragma once

#include "kernels/attend.h"

namespace combiner {

// attend_spans, or false, with nothing done, where the processor or the shape won't have it.
// Weights are rounded to bfloat16, and add up to one as rounded.
bool attend_spans_by_tiles(std::span<const DecodedPosition<bfloat16>> positions, int64_t head_dim,
                           float scale, Scratch& scratch);

}  // namespace combiner
