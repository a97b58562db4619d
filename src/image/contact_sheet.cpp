#include "image/contact_sheet.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "combiner/error.h"

namespace combiner {

namespace {

void require_same_size(std::span<const Image> images) {
  for (size_t i = 1; i < images.size(); ++i) {
    if (images[i].width == images[0].width && images[i].height == images[0].height) continue;
    throw Error(fmt::format("contact sheet: image {} is {}x{} pixels; expected {}x{} as image 0", i,
                            images[i].width, images[i].height, images[0].width, images[0].height));
  }
}

// The size in pixels of `count` cells with a gap between and around them. A double can't overflow.
double extent(int count, int cell, int gap, int scale) {
  return 1.0 * count * cell * scale + (count + 1.0) * gap;
}

void paint(const Image& image, int left, int top, int scale, Image& sheet) {
  for (int y = 0; y < image.height * scale; ++y) {
    const uint8_t* from = &image.pixels[size_t{3} * (y / scale) * image.width];
    uint8_t* to = &sheet.pixels[size_t{3} * (size_t{1} * (top + y) * sheet.width + left)];
    for (int x = 0; x < image.width * scale; ++x) {
      std::copy_n(from + 3 * (x / scale), 3, to + 3 * x);
    }
  }
}

}  // namespace

Image contact_sheet(std::span<const Image> images, int rows, int columns, int gap, int scale) {
  if (rows < 1 || columns < 1 || gap < 0 || scale < 1) {
    throw Error(fmt::format(
        "contact sheet: {} rows, {} columns, gap {}, scale {}; expected at least 1, 1, 0, 1", rows,
        columns, gap, scale));
  }
  const int64_t places = int64_t{rows} * columns;
  if (images.empty() || static_cast<int64_t>(images.size()) > places) {
    throw Error(fmt::format("contact sheet: {} images; expected 1 to {} for {} rows of {}",
                            images.size(), places, rows, columns));
  }
  require_same_size(images);

  const int cell_width = images[0].width;
  const int cell_height = images[0].height;
  const double width = extent(columns, cell_width, gap, scale);
  const double height = extent(rows, cell_height, gap, scale);
  if (3 * width * height > kMaxImageBytes) {
    throw Error(
        fmt::format("contact sheet: {:.0f}x{:.0f} pixels; expected at most {} in all; "
                    "use fewer rows and columns or a smaller scale",
                    width, height, kMaxImageBytes / 3));
  }

  Image sheet{static_cast<int>(width), static_cast<int>(height), {}};
  sheet.pixels.assign(size_t{3} * sheet.width * sheet.height, 255);
  for (size_t i = 0; i < images.size(); ++i) {
    const int row = static_cast<int>(i) / columns;
    const int column = static_cast<int>(i) % columns;
    paint(images[i], gap + column * (cell_width * scale + gap),
          gap + row * (cell_height * scale + gap), scale, sheet);
  }
  return sheet;
}

}  // namespace combiner
