#include "image/mirror.h"

#include <vector>

#include "catch.h"

namespace combiner {
namespace {

TEST_CASE("Mirroring reverses the pixels of each row and keeps their channels") {
  std::vector<uint8_t> pixels = {1,  2,  3,  4,  5,  6,  7,  8,  9,  //
                                 11, 12, 13, 14, 15, 16, 17, 18, 19};
  const std::vector<uint8_t> original = pixels;
  mirror(pixels, 3);
  CHECK(pixels == std::vector<uint8_t>{7, 8, 9, 4, 5, 6, 1, 2, 3,  //
                                       17, 18, 19, 14, 15, 16, 11, 12, 13});
  mirror(pixels, 3);
  CHECK(pixels == original);
  mirror(pixels, 2);
  CHECK(std::vector<uint8_t>(pixels.begin(), pixels.begin() + 6) ==
        std::vector<uint8_t>{4, 5, 6, 1, 2, 3});
  mirror(pixels, 1);
  CHECK(pixels[0] == 4);
}

}  // namespace
}  // namespace combiner
