#include "image/compose.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

#include "base/round_up.h"
#include "combiner/error.h"
#include "image/check_size.h"

namespace combiner {

Image white_image(int64_t width, int64_t height) {
  if (!size_fits(static_cast<double>(width), static_cast<double>(height)))
    throw Error(fmt::format("can't make a picture of {}x{} pixels; expected at most {} in all",
                            width, height, kMaxImageBytes / 3));
  return {static_cast<int>(width), static_cast<int>(height),
          std::vector<uint8_t>(static_cast<size_t>(3 * width * height), 255)};
}

void paint(const Image& image, int64_t left, int64_t top, int scale, Image& canvas) {
  constexpr size_t kChannels = 3;
  const size_t row_bytes =
      kChannels * static_cast<size_t>(image.width) * static_cast<size_t>(scale);
  const size_t pitch = kChannels * static_cast<size_t>(canvas.width);
  const uint8_t* from = image.pixels.data();
  for (int64_t y = top; y < top + int64_t{image.height} * scale; y += scale) {
    uint8_t* const row =
        &canvas.pixels[static_cast<size_t>(y) * pitch + static_cast<size_t>(left) * kChannels];
    uint8_t* to = row;
    for (int x = 0; x < image.width; ++x, from += kChannels)
      for (int i = 0; i < scale; ++i) to = std::copy_n(from, kChannels, to);
    for (int i = 1; i < scale; ++i)
      std::copy_n(row, row_bytes, row + static_cast<size_t>(i) * pitch);
  }
}

Image magnified(const Image& image, int scale) {
  Image large = white_image(int64_t{image.width} * scale, int64_t{image.height} * scale);
  paint(image, 0, 0, scale, large);
  return large;
}

int scale_to(int side, int width, int height) {
  const int longer = std::max(width, height);
  return std::max(1, ceil_div(side, longer));
}

Image beside(std::span<const Image> images, int gap) {
  int64_t width = -gap, height = 0;
  for (const Image& image : images) {
    width += image.width + gap;
    height = std::max<int64_t>(height, image.height);
  }
  Image row = white_image(width, height);
  int left = 0;
  for (const Image& image : images) {
    paint(image, left, (row.height - image.height) / 2, 1, row);
    left += image.width + gap;
  }
  return row;
}

Image stacked(std::span<const Image> images, int gap) {
  int64_t width = 0, height = -gap;
  for (const Image& image : images) {
    width = std::max<int64_t>(width, image.width);
    height += image.height + gap;
  }
  Image column = white_image(width, height);
  int top = 0;
  for (const Image& image : images) {
    paint(image, (column.width - image.width) / 2, top, 1, column);
    top += image.height + gap;
  }
  return column;
}

Image with_margin(const Image& image, int margin) {
  Image framed = white_image(int64_t{image.width} + 2 * margin, int64_t{image.height} + 2 * margin);
  paint(image, margin, margin, 1, framed);
  return framed;
}

}  // namespace combiner
