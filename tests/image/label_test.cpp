#include "image/label.h"

#include <algorithm>

#include "catch.h"
#include "image/compose.h"

namespace combiner {
namespace {

bool is_white(const Image& image) {
  return std::ranges::all_of(image.pixels, [](uint8_t value) { return value == 255; });
}

TEST_CASE("A label is black text on white, as wide as its text") {
  const Image text = label("3.4494 bits/dim");
  CHECK(text.height == kTextLine);
  CHECK(text.width > label("3.4494").width);
  CHECK(std::ranges::min(text.pixels) < 64);
  CHECK(std::ranges::max(text.pixels) == 255);
  for (size_t i = 0; i < text.pixels.size(); i += 3) {
    CHECK(text.pixels[i] == text.pixels[i + 1]);
    CHECK(text.pixels[i] == text.pixels[i + 2]);
  }
  CHECK(text == label("3.4494 bits/dim"));
  CHECK_FALSE(text == label("3.4495 bits/dim"));
}

TEST_CASE("All digits are equally wide") {
  const int width = label("8888888888").width;
  for (char digit = '0'; digit <= '9'; ++digit) CHECK(label(std::string(10, digit)).width == width);
}

TEST_CASE("No letter reaches the upper or lower edge of its line") {
  std::string all;
  for (char letter = '!'; letter <= '~'; ++letter) all += letter;
  const Image text = label(all);
  const auto row_bytes = static_cast<std::ptrdiff_t>(3) * text.width;
  CHECK(*std::min_element(text.pixels.begin(), text.pixels.begin() + row_bytes) > 200);
  CHECK(*std::min_element(text.pixels.end() - row_bytes, text.pixels.end()) > 200);
}

TEST_CASE("The lines of a label are centred") {
  const Image two = label("wide line\nx");
  CHECK(two == stacked(std::vector{label("wide line"), label("x")}, 0));
  CHECK(two.height == 2 * kTextLine);
  CHECK(two.width == label("wide line").width);
  CHECK(is_white(label("")));
  CHECK(label("a\n").height == 2 * kTextLine);
}

TEST_CASE("A heading stands above its picture") {
  const Image image{100, 50, std::vector<uint8_t>(15000, 7)};
  const Image headed = with_heading("heading", image, 5);
  CHECK(headed.width == 100);
  CHECK(headed.height == 5 + kTextLine + 50);
  CHECK(std::equal(image.pixels.begin(), image.pixels.end(), headed.pixels.end() - 15000));
}

}  // namespace
}  // namespace combiner
