#include "cli/half_blocks.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/round_up.h"
#include "image/resize.h"

namespace combiner {
namespace {

Image shrunk(const Image& image, int columns, int lines) {
  const int factor = std::max({1, ceil_div(image.width, std::max(columns, 1)),
                               ceil_div(image.height, 2 * std::max(lines, 1))});
  if (factor == 1) return image;
  return resample(image, {0, 0, image.width, image.height}, ceil_div(image.width, factor),
                  ceil_div(image.height, factor));
}

}  // namespace

std::string half_blocks(const Image& image, int columns, int lines) {
  const Image small = shrunk(image, columns, lines);
  const auto pixel = [&](int x, int y) {
    return &small.pixels[size_t{3} * (static_cast<size_t>(y) * small.width + x)];
  };
  std::string text;
  constexpr int kForeground = 38, kBackground = 48;
  for (int y = 0; y < small.height; y += 2) {
    const uint8_t* foreground = nullptr;
    const uint8_t* background = nullptr;
    // Sets a colour unless it is the same as to the left.
    const auto set = [&text](int layer, const uint8_t*& now, const uint8_t* rgb) {
      if (!now || !std::equal(rgb, rgb + 3, now))
        fmt::format_to(std::back_inserter(text), "\x1b[{};2;{};{};{}m", layer, rgb[0], rgb[1],
                       rgb[2]);
      now = rgb;
    };
    for (int x = 0; x < small.width; ++x) {
      set(kForeground, foreground, pixel(x, y));
      if (y + 1 < small.height) set(kBackground, background, pixel(x, y + 1));
      text += "\u2580";
    }
    text += "\x1b[0m\n";
  }
  return text;
}

}  // namespace combiner
