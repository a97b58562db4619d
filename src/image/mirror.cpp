#include "image/mirror.h"

#include <algorithm>
#include <cstddef>

namespace combiner {

void mirror(std::span<uint8_t> pixels, int width) {
  constexpr size_t kChannels = 3;
  const size_t row_bytes = static_cast<size_t>(width) * kChannels;
  for (size_t row = 0; row < pixels.size(); row += row_bytes) {
    uint8_t* left = pixels.data() + row;
    uint8_t* right = left + row_bytes - kChannels;
    for (; left < right; left += kChannels, right -= kChannels)
      std::swap_ranges(left, left + kChannels, right);
  }
}

}  // namespace combiner
