// Conversion between the layout of data sets (red, green and blue plane, each row by row) and
// pixels.
#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>

namespace combiner {

// Converts planes [3, pixels] to pixels [pixels, 3].
inline void planes_to_pixels(std::span<const uint8_t> planes, std::span<uint8_t> pixels) {
  assert(planes.size() == pixels.size());
  const size_t plane = planes.size() / 3;
  for (size_t i = 0; i < plane; ++i)
    for (size_t channel = 0; channel < 3; ++channel)
      pixels[3 * i + channel] = planes[channel * plane + i];
}

// Converts pixels [pixels, 3] to planes [3, pixels].
inline void pixels_to_planes(std::span<const uint8_t> pixels, std::span<uint8_t> planes) {
  assert(planes.size() == pixels.size());
  const size_t plane = planes.size() / 3;
  for (size_t i = 0; i < plane; ++i)
    for (size_t channel = 0; channel < 3; ++channel)
      planes[channel * plane + i] = pixels[3 * i + channel];
}

}  // namespace combiner
