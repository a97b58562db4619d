#include "cli/nearest_sheet.h"

#include <algorithm>
#include <array>

#include "catch.h"
#include "image/compose.h"
#include "image/label.h"
#include "image/mirror.h"
#include "memory_dataset.h"
#include "random.h"

namespace combiner {
namespace {

// How often `part` occurs in `image`.
int occurrences(const Image& part, const Image& image) {
  int count = 0;
  for (int top = 0; top + part.height <= image.height; ++top)
    for (int left = 0; left + part.width <= image.width; ++left) {
      bool equal = true;
      for (int y = 0; equal && y < part.height; ++y)
        equal = std::equal(&part.pixels[size_t{3} * (y * part.width)],
                           &part.pixels[size_t{3} * (y * part.width)] + 3 * part.width,
                           &image.pixels[size_t{3} * ((top + y) * image.width + left)]);
      count += equal;
    }
  return count;
}

TEST_CASE("The sheet shows the pictures and their neighbours, mirrored where they are nearer so") {
  Random random(8);
  const std::vector<uint8_t> pixels = random.bytes(3 * 48);
  const MemoryDataset images(4, 4, pixels);
  const auto image = [&](int64_t index) {
    Image read{4, 4, std::vector<uint8_t>(48)};
    images.read(index, read.pixels);
    return read;
  };
  const std::vector<Image> pictures = {{4, 4, random.bytes(48)}, {4, 4, random.bytes(48)}};
  const std::vector<std::string> names = {"a.png", "a very long name of a picture.png"};
  const NearestImages nearest{{{{{0, false, 1}, {1, true, 2}}, {{0, false, 1}, {2, false, 2}}},
                               {{{1, true, 1}, {0, false, 2}}, {{2, false, 1}, {1, true, 2}}}},
                              3};
  const NearestSheet planned(pictures, names, 2, 3, 3);
  CHECK(planned.fits());
  const Image sheet = planned.draw(nearest, images);
  CHECK(sheet.width == planned.width());
  CHECK(sheet.height == planned.height());
  for (const Image& picture : pictures) CHECK(occurrences(magnified(picture, 3), sheet) == 1);
  CHECK(occurrences(magnified(image(0), 3), sheet) == 3);
  CHECK(occurrences(magnified(image(1), 3), sheet) == 0);
  CHECK(occurrences(magnified(image(2), 3), sheet) == 2);
  Image turned = image(1);
  mirror(turned.pixels, 4);
  CHECK(occurrences(magnified(turned, 3), sheet) == 3);
}

// A picture that is not in `images`, with the first `count` of them as neighbours, and its sheet.
Image sheet_of_first(int64_t count, const MemoryDataset& images, int64_t planned) {
  const std::vector<Image> picture = {white_image(4, 4)};
  const std::vector<std::string> name = {"a.png"};
  Neighbours neighbours;
  for (int64_t i = 0; i < count; ++i) neighbours.in_pixels.push_back({i, false, 1});
  neighbours.in_means = neighbours.in_pixels;
  return NearestSheet(picture, name, planned, images.size(), 2).draw({{neighbours}, count}, images);
}

TEST_CASE("The sheet shows eight neighbours at most, and fewer if fewer were found") {
  Random random(8);
  const std::vector<uint8_t> pixels = random.bytes(20 * 48);
  const MemoryDataset images(4, 4, pixels);
  const auto shown = [&](int64_t index, const Image& sheet) {
    Image image{4, 4, std::vector<uint8_t>(48)};
    images.read(index, image.pixels);
    return occurrences(magnified(image, 2), sheet);
  };
  const Image eight = sheet_of_first(8, images, 8);
  CHECK(sheet_of_first(20, images, 20) == eight);
  CHECK(shown(7, eight) == 2);
  CHECK(shown(8, eight) == 0);
  const Image stopped = sheet_of_first(2, images, 8);
  CHECK(stopped.width == eight.width);
  CHECK(shown(1, stopped) == 2);
  CHECK(shown(2, stopped) == 0);
}

TEST_CASE("The sheet has room for its texts, however small the images and large the indices are") {
  const std::vector<Image> picture = {white_image(1, 1)};
  const std::vector<std::string> name = {"a long name of a picture.png"};
  const NearestSheet sheet(picture, name, 1, int64_t{1} << 62, 1);
  CHECK(sheet.fits());
  CHECK(sheet.width() > 2 * label("#4611686018427387903 mirrored").width);
  const MemoryDataset images(1, 1, std::vector<uint8_t>(3 * 100));
  const Neighbours widest = {{{88, true, 188.88}}, {{88, true, 188.88}}};
  CHECK_NOTHROW(NearestSheet(picture, name, 1, 100, 1).draw({{widest}, 100}, images));
}

TEST_CASE("Whether a sheet fits is known without drawing it") {
  const std::vector<Image> pictures(10000, Image{32, 32, {}});
  const std::vector<std::string> names(10000, "a.png");
  const NearestSheet sheet(pictures, names, 5, 50000, 4);
  CHECK_FALSE(sheet.fits());
  CHECK(sheet.height() > 10000 * 128);
  CHECK(NearestSheet(std::span(pictures).first(100), std::span(names).first(100), 5, 50000, 4)
            .fits());
}

}  // namespace
}  // namespace combiner
