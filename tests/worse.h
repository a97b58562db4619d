// The largest of several errors.
#pragma once

#include <cmath>

namespace combiner {

// The larger of two errors; NaN if one is, as std::max is not.
inline double worse(double a, double b) { return std::isnan(a) || a >= b ? a : b; }

}  // namespace combiner
