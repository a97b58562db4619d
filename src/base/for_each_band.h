// Iteration over a range, several consecutive elements at a time.
#pragma once

#include <algorithm>
#include <cstdint>

namespace combiner {

// Divides 0 .. count - 1 into bands of `band` consecutive elements, the last of which may be
// smaller, and calls visit(first, size) for each of them in order.
template <class Visit>
void for_each_band(int64_t count, int64_t band, Visit&& visit) {
  for (int64_t first = 0; first < count; first += band) visit(first, std::min(band, count - first));
}

}  // namespace combiner
