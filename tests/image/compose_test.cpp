#include "image/compose.h"

#include <array>

#include "catch.h"
#include "error_of.h"
#include "red_text.h"

namespace combiner {
namespace {

TEST_CASE("Images side by side are centred vertically, stacked ones horizontally") {
  const Image tall{1, 3, std::vector<uint8_t>(9, 1)};
  const Image wide{3, 1, std::vector<uint8_t>(9, 2)};
  CHECK(red(beside(std::array{tall, wide}, 1)) ==
        "1....\n"
        "1.222\n"
        "1....\n");
  CHECK(red(stacked(std::array{tall, wide}, 2)) ==
        ".1.\n"
        ".1.\n"
        ".1.\n"
        "...\n"
        "...\n"
        "222\n");
  CHECK(beside(std::array{tall}, 5) == tall);
}

TEST_CASE("Images are magnified, and framed in white") {
  const Image image{2, 1, {1, 11, 21, 2, 12, 22}};
  const Image large = magnified(image, 2);
  CHECK(red(large) ==
        "1122\n"
        "1122\n");
  CHECK(std::vector<int>(large.pixels.end() - 3, large.pixels.end()) ==
        std::vector<int>{2, 12, 22});
  CHECK(red(with_margin(image, 1)) ==
        "....\n"
        ".12.\n"
        "....\n");
}

TEST_CASE("The scale is the smallest that makes the longer side long enough") {
  CHECK(scale_to(256, 32, 32) == 8);
  CHECK(scale_to(256, 64, 256) == 1);
  CHECK(scale_to(256, 20, 255) == 2);
  CHECK(scale_to(256, 500, 3) == 1);
  CHECK(scale_to(256, 1, 1) == 256);
}

TEST_CASE("A picture that would be too large is an Error") {
  CHECK_THAT(error_of([] { white_image(1 << 20, 1 << 20); }),
             contains("1048576x1048576 pixels; expected at most"));
  CHECK_THAT(error_of([] { magnified({1000, 1000, {}}, 1 << 20); }), contains("expected at most"));
}

}  // namespace
}  // namespace combiner
