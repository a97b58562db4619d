// Properties of attention variants.
#pragma once

#include "combiner/config.h"

namespace combiner {

// Whether rows above are attended to through summaries, which have weights of their own.
inline bool has_summaries(Attention attention) { return attention == Attention::axial_rowmajor; }

}  // namespace combiner
