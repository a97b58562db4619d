// Small images as text.
#pragma once

#include <string>

#include "combiner/image.h"

namespace combiner {

// The red channel, one line per row: 0 to 9 as digits, white as a dot.
inline std::string red(const Image& image) {
  std::string text;
  for (size_t i = 0; i < image.pixels.size(); i += 3) {
    const int value = image.pixels[i];
    text += value == 255 ? '.' : static_cast<char>('0' + value);
    if ((i / 3 + 1) % static_cast<size_t>(image.width) == 0) text += '\n';
  }
  return text;
}

}  // namespace combiner
