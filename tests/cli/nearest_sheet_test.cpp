#include "cli/nearest_sheet.h"

#include <algorithm>
#include <array>

#include "catch.h"
#include "image/compose.h"
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
  const Image sheet = nearest_sheet(pictures, names, nearest, images, 3);
  for (const Image& picture : pictures) CHECK(occurrences(magnified(picture, 3), sheet) == 1);
  CHECK(occurrences(magnified(image(0), 3), sheet) == 3);
  CHECK(occurrences(magnified(image(1), 3), sheet) == 0);
  CHECK(occurrences(magnified(image(2), 3), sheet) == 2);
  Image turned = image(1);
  mirror(turned.pixels, 4);
  CHECK(occurrences(magnified(turned, 3), sheet) == 3);
}

}  // namespace
}  // namespace combiner
