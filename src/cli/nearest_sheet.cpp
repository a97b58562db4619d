#include "cli/nearest_sheet.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

#include "image/check_size.h"
#include "image/compose.h"
#include "image/label.h"
#include "image/mirror.h"

namespace combiner {
namespace {

constexpr int kGap = 12;                        // pixels around everything and between cells
constexpr int kPartGap = 3 * kGap;              // between parts
constexpr int kAboveText = 4;                   // between an image and the text below
constexpr int kRowsTop = 2 * kGap + kTextLine;  // below the headings
constexpr size_t kMostCharacters = 18;          // of a name

// Leaves out the middle of a long name.
std::string shortened(const std::string& name) {
  if (name.size() <= kMostCharacters) return name;
  const size_t kept = (kMostCharacters - 2) / 2;
  return name.substr(0, kept) + ".." + name.substr(name.size() - kept);
}

std::string text_of(const Neighbour& neighbour) {
  return fmt::format("#{}{}\n{:.2f}", neighbour.index, neighbour.mirrored ? " mirrored" : "",
                     neighbour.distance);
}

Image read(const Dataset& images, const Neighbour& neighbour) {
  Image image = white_image(images.width(), images.height());
  images.read(neighbour.index, image.pixels);
  if (neighbour.mirrored) mirror(image.pixels, image.width);
  return image;
}

}  // namespace

NearestSheet::NearestSheet(std::span<const Image> pictures, std::span<const std::string> names,
                           int64_t neighbours, int64_t images, int scale)
    : pictures_(pictures), names_(names), scale_(scale) {
  const int64_t columns = std::min<int64_t>({neighbours, images, kMostNeighboursShown});
  const int64_t image_width = int64_t{pictures.front().width} * scale;
  int64_t name_width = 0;
  for (const std::string& name : names)
    name_width = std::max<int64_t>(name_width, label(shortened(name)).width);
  // No text is wider than that of the highest index, because all digits are equally wide.
  const int64_t text_width = label(text_of({images - 1, true, 255})).width;
  parts_ = {Part{label("picture"), 1, std::max(image_width, name_width)},
            Part{label("nearest in pixels"), columns, std::max(image_width, text_width)},
            Part{label("nearest in 4x4 means"), columns, std::max(image_width, text_width)}};
}

int64_t NearestSheet::width() const {
  int64_t width = 2 * kGap - kPartGap;
  for (const Part& part : parts_) width += part.width() + kPartGap;
  return width;
}

int64_t NearestSheet::height() const {
  return kRowsTop + static_cast<int64_t>(pictures_.size()) * (cell_height() + kGap);
}

bool NearestSheet::fits() const {
  return size_fits(static_cast<double>(width()), static_cast<double>(height()));
}

Image NearestSheet::draw(const NearestImages& nearest, const Dataset& images) const {
  Image sheet = white_image(width(), height());
  const auto& [queries, in_pixels, in_means] = parts_;
  const int64_t pixels_left = kGap + queries.width() + kPartGap;
  const int64_t means_left = pixels_left + in_pixels.width() + kPartGap;
  const auto paint_heading = [&](const Part& part, int64_t left) {
    paint(part.heading, left + (part.width() - part.heading.width) / 2, kGap, 1, sheet);
  };
  paint_heading(queries, kGap);
  paint_heading(in_pixels, pixels_left);
  paint_heading(in_means, means_left);
  int64_t top = kRowsTop;
  for (size_t i = 0; i < pictures_.size(); ++i, top += cell_height() + kGap) {
    paint_cell(pictures_[i], shortened(names_[i]), queries, kGap, top, 0, sheet);
    const auto& [of_pixels, of_means] = nearest.of_pictures[i];
    paint_neighbours(of_pixels, images, in_pixels, pixels_left, top, sheet);
    paint_neighbours(of_means, images, in_means, means_left, top, sheet);
  }
  return sheet;
}

int64_t NearestSheet::Part::cells_width() const { return columns * (cell_width + kGap) - kGap; }
int64_t NearestSheet::Part::width() const {
  return std::max<int64_t>(cells_width(), heading.width);
}

int64_t NearestSheet::cell_height() const {
  return int64_t{pictures_.front().height} * scale_ + kAboveText + 2 * kTextLine;
}

void NearestSheet::paint_neighbours(std::span<const Neighbour> neighbours, const Dataset& images,
                                    const Part& part, int64_t left, int64_t top,
                                    Image& sheet) const {
  const int64_t count = std::min(part.columns, std::ssize(neighbours));
  for (int64_t column = 0; column < count; ++column) {
    const Neighbour& neighbour = neighbours[static_cast<size_t>(column)];
    paint_cell(read(images, neighbour), text_of(neighbour), part, left, top, column, sheet);
  }
}

void NearestSheet::paint_cell(const Image& image, const std::string& text, const Part& part,
                              int64_t left, int64_t top, int64_t column, Image& sheet) const {
  const int64_t middle = left + (part.width() - part.cells_width()) / 2 +
                         column * (part.cell_width + kGap) + part.cell_width / 2;
  const Image below = label(text);
  paint(image, middle - int64_t{image.width} * scale_ / 2, top, scale_, sheet);
  paint(below, middle - below.width / 2, top + int64_t{image.height} * scale_ + kAboveText, 1,
        sheet);
}

}  // namespace combiner
