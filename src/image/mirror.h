// Mirroring images.
#pragma once

#include <cstdint>
#include <span>

namespace combiner {

// Mirrors an image [height, width, 3] left to right, in place.
void mirror(std::span<uint8_t> pixels, int width);

}  // namespace combiner
