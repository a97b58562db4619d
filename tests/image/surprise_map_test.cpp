#include "image/surprise_map.h"

#include <algorithm>
#include <array>

#include "catch.h"
#include "image/compose.h"

namespace combiner {
namespace {

using Colour = std::array<int, 3>;

Colour colour_at(const Image& image, int x, int y) {
  const auto first = static_cast<size_t>(3 * (y * image.width + x));
  return {image.pixels[first], image.pixels[first + 1], image.pixels[first + 2]};
}

constexpr int kMargin = 16;  // around and between the parts
constexpr int kTop = kMargin + 8;

Image surprise_map(const Image& image, const std::vector<float>& bits) {
  return SurpriseMap(image.width, image.height).draw(image, bits);
}

TEST_CASE("A surprise map shows the image's own pixels, magnified") {
  Image image{5, 4, {}};
  for (int i = 0; i < 60; ++i) image.pixels.push_back(static_cast<uint8_t>(4 * i));
  const Image drawn = surprise_map(image, std::vector<float>(60, 1));
  constexpr int kScale = 52;  // 5 pixels become 260
  for (int y = 0; y < 4 * kScale; ++y)
    for (int x = 0; x < 5 * kScale; ++x)
      if (colour_at(drawn, kMargin + x, kTop + y) != colour_at(image, x / kScale, y / kScale))
        FAIL("wrong pixel at " << x << ", " << y);
}

TEST_CASE("A surprise map's colours go from black to the brightest at 24 bits a pixel") {
  // Pixels of 0, 12, 24 and 300 bits, unevenly divided among their channels.
  const std::vector<float> bits = {0, 0, 0, 12, 0, 0, 8, 8, 8, 100, 100, 100};
  const Image drawn = surprise_map(white_image(4, 1), bits);
  const auto colour = [&](int pixel) {
    return colour_at(drawn, kMargin + 256 + kMargin + 64 * pixel + 32, drawn.height / 2 - 12);
  };
  const auto brightness = [&](int pixel) {
    const Colour c = colour(pixel);
    return c[0] + c[1] + c[2];
  };
  CHECK(brightness(0) < 20);
  CHECK(brightness(1) > brightness(0) + 100);
  CHECK(brightness(2) > brightness(1) + 100);
  CHECK(colour(2) == colour(3));
  // Red is in the place of red: half way, the colour is reddish.
  CHECK(colour(1)[0] > colour(1)[2] + 50);
}

TEST_CASE("A surprise map has an even margin, whatever the image's shape") {
  const std::vector<std::pair<int, int>> sizes = {{32, 32}, {64, 4}, {4, 64}, {1, 1}, {300, 200}};
  for (const auto& [width, height] : sizes) {
    INFO(width << "x" << height);
    Image image = white_image(width, height);
    std::ranges::fill(image.pixels, uint8_t{0});
    const Image drawn = surprise_map(image, std::vector<float>(image.pixels.size(), 2));
    int left = drawn.width, right = 0, top = drawn.height, bottom = 0;
    for (int y = 0; y < drawn.height; ++y)
      for (int x = 0; x < drawn.width; ++x)
        if (colour_at(drawn, x, y)[0] < 128) {
          left = std::min(left, x);
          right = std::max(right, x);
          top = std::min(top, y);
          bottom = std::max(bottom, y);
        }
    CHECK(left == kMargin);
    for (const int margin : {top, drawn.width - 1 - right, drawn.height - 1 - bottom}) {
      CHECK(margin >= kMargin);
      CHECK(margin <= kMargin + 8);
    }
  }
}

}  // namespace
}  // namespace combiner
