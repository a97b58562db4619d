// The library's image type: 8-bit RGB.
#pragma once

#include <cstdint>
#include <vector>

namespace combiner {

struct Image {
  int width = 0;
  int height = 0;
  std::vector<uint8_t> pixels;  // [height, width, 3]: red, green, blue

  bool operator==(const Image&) const = default;
};

// The largest size of an image, in bytes of pixels, that the library creates or writes. Encoders
// and resamplers count bytes in an int and need room to double.
inline constexpr int64_t kMaxImageBytes = int64_t{1} << 29;

}  // namespace combiner
