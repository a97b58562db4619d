#include "image/contact_sheet.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cstdint>
#include <vector>

#include "combiner/error.h"
#include "image/check_size.h"
#include "image/compose.h"
#include "image/label.h"

namespace combiner {

namespace {

constexpr int kAboveCaption = 4;  // pixels between an image and its caption

void require_same_size(std::span<const Image> images) {
  for (size_t i = 1; i < images.size(); ++i) {
    if (images[i].width == images[0].width && images[i].height == images[0].height) continue;
    throw Error(fmt::format("contact sheet: image {} is {}x{} pixels; expected {}x{} as image 0", i,
                            images[i].width, images[i].height, images[0].width, images[0].height));
  }
}

// The size in pixels of `count` cells with a gap between and around them. A double can't overflow.
double extent(int count, int64_t cell, int gap) {
  return 1.0 * count * static_cast<double>(cell) + (count + 1.0) * gap;
}

std::vector<Image> labels_of(std::span<const std::string> captions) {
  std::vector<Image> labels;
  for (const std::string& caption : captions) labels.push_back(label(caption));
  return labels;
}

}  // namespace

bool contact_sheet_fits(int width, int height, int rows, int columns, int gap, int scale) {
  return size_fits(extent(columns, int64_t{width} * scale, gap),
                   extent(rows, int64_t{height} * scale, gap));
}

Image contact_sheet(std::span<const Image> images, int rows, int columns, int gap, int scale,
                    std::span<const std::string> captions) {
  assert(captions.empty() || captions.size() == images.size());
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

  const std::vector<Image> labels = labels_of(captions);
  const int64_t image_width = int64_t{images[0].width} * scale;
  const int64_t image_height = int64_t{images[0].height} * scale;
  int64_t cell_width = image_width, cell_height = image_height;
  for (const Image& text : labels) {
    cell_width = std::max<int64_t>(cell_width, text.width);
    cell_height = std::max(cell_height, image_height + kAboveCaption + text.height);
  }
  const double width = extent(columns, cell_width, gap);
  const double height = extent(rows, cell_height, gap);
  if (!size_fits(width, height)) {
    throw Error(
        fmt::format("contact sheet: {:.0f}x{:.0f} pixels; expected at most {} in all; "
                    "use fewer rows and columns or a smaller scale",
                    width, height, kMaxImageBytes / 3));
  }

  Image sheet = white_image(static_cast<int64_t>(width), static_cast<int64_t>(height));
  for (size_t i = 0; i < images.size(); ++i) {
    const auto place = static_cast<int64_t>(i);
    const int64_t middle = gap + place % columns * (cell_width + gap) + cell_width / 2;
    const int64_t top = gap + place / columns * (cell_height + gap);
    paint(images[i], middle - image_width / 2, top, scale, sheet);
    if (labels.empty()) continue;
    paint(labels[i], middle - labels[i].width / 2, top + image_height + kAboveCaption, 1, sheet);
  }
  return sheet;
}

}  // namespace combiner
