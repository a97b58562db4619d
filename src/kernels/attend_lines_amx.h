// attend_lines by tile registers; for the kernels alone.
#pragma once

#include "kernels/attend.h"

namespace combiner {

// attend_lines, or false, with nothing done, where the processor or the shape won't have it.
// Weights are rounded to bfloat16, and add up to one as rounded.
bool attend_lines_by_tiles(const bfloat16* query, int64_t heads, int64_t head_dim, float scale,
                           std::span<const KeyLine<bfloat16>> lines,
                           std::span<const KeyLine<bfloat16>> next, float* out, Scratch& scratch);

}  // namespace combiner
