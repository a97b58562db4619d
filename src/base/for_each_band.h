// Walking over many things, some consecutive ones at a time.
#pragma once

#include <algorithm>
#include <cstdint>

namespace combiner {

// Calls visit(first, number) for bands of `band` of the `count`, in order; the last may be smaller.
template <class Visit>
void for_each_band(int64_t count, int64_t band, Visit&& visit) {
  for (int64_t first = 0; first < count; first += band) visit(first, std::min(band, count - first));
}

}  // namespace combiner
