#include "cli/nearest_sheet.h"

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <vector>

#include "image/compose.h"
#include "image/contact_sheet.h"
#include "image/label.h"
#include "image/mirror.h"

namespace combiner {
namespace {

constexpr int kGap = 12;                // pixels between images
constexpr size_t kMostCharacters = 18;  // of a name

// A part of the sheet: a column for each image of a row. All captions have two lines, so that the
// rows of all parts are level.
struct Part {
  std::vector<Image> images;
  std::vector<std::string> captions;

  Image draw(const std::string& heading, size_t rows, int scale) const {
    const auto columns = static_cast<int>(images.size() / rows);
    const Image sheet =
        contact_sheet(images, static_cast<int>(rows), columns, kGap, scale, captions);
    return with_heading(heading, sheet, kGap);
  }
};

// Leaves out the middle of a long name.
std::string shortened(const std::string& name) {
  if (name.size() <= kMostCharacters) return name;
  const size_t kept = (kMostCharacters - 2) / 2;
  return name.substr(0, kept) + ".." + name.substr(name.size() - kept);
}

Image read(const Dataset& images, const Neighbour& neighbour) {
  Image image{images.width(), images.height(), {}};
  image.pixels.resize(size_t{3} * image.width * image.height);
  images.read(neighbour.index, image.pixels);
  if (neighbour.mirrored) mirror(image.pixels, image.width);
  return image;
}

std::string caption(const Neighbour& neighbour) {
  return fmt::format("#{}{}\n{:.2f}", neighbour.index, neighbour.mirrored ? " mirrored" : "",
                     neighbour.distance);
}

}  // namespace

Image nearest_sheet(std::span<const Image> pictures, std::span<const std::string> names,
                    const NearestImages& nearest, const Dataset& images, int scale) {
  const auto neighbours = [&](std::vector<Neighbour> Neighbours::*which) {
    Part part;
    for (const Neighbours& of_picture : nearest.of_pictures)
      for (const Neighbour& neighbour : of_picture.*which) {
        part.images.push_back(read(images, neighbour));
        part.captions.push_back(caption(neighbour));
      }
    return part;
  };
  Part queries{{pictures.begin(), pictures.end()}, {}};
  for (const std::string& name : names) queries.captions.push_back(shortened(name) + "\n");
  const size_t rows = pictures.size();
  const std::array parts = {
      queries.draw("picture", rows, scale),
      neighbours(&Neighbours::in_pixels).draw("nearest in pixels", rows, scale),
      neighbours(&Neighbours::in_means).draw("nearest in 4x4 means", rows, scale)};
  return beside(parts, kGap);
}

}  // namespace combiner
