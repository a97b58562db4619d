#include "image/resize.h"

#include <algorithm>
#include <initializer_list>

#include "catch.h"

namespace combiner {
namespace {

// An image with the given red values, green = 255 - red and blue = 7.
Image from_red(int width, int height, std::initializer_list<int> red) {
  Image image{width, height, {}};
  for (const int value : red) {
    image.pixels.push_back(static_cast<uint8_t>(value));
    image.pixels.push_back(static_cast<uint8_t>(255 - value));
    image.pixels.push_back(7);
  }
  return image;
}

TEST_CASE("An image of the wanted size is unchanged") {
  const Image image = from_red(3, 2, {1, 20, 255, 0, 99, 7});
  CHECK(resize_to(image, 3, 2) == image);
}

TEST_CASE("Shrinking averages over areas") {
  const Image by_two = from_red(4, 4,
                                {0, 10, 100, 102,   //
                                 20, 30, 104, 106,  //
                                 8, 8, 0, 0,        //
                                 8, 8, 200, 208});
  CHECK(resize_to(by_two, 2, 2) == from_red(2, 2, {15, 103, 8, 102}));
  CHECK(resize_to(by_two, 1, 1) == from_red(1, 1, {57}));  // 912 / 16

  // Each new pixel covers 1.5 x 1.5 old ones, with weights of 4/9, 2/9, 2/9 and 1/9.
  const Image by_half_more = from_red(3, 3,
                                      {90, 0, 9,  //
                                       0, 0, 0,   //
                                       0, 0, 18});
  CHECK(resize_to(by_half_more, 2, 2) == from_red(2, 2, {40, 4, 0, 8}));
}

TEST_CASE("An image of another aspect ratio is cropped to its centre") {
  const Image wide = from_red(6, 2,
                              {255, 255, 10, 20, 255, 255,  //
                               255, 255, 30, 40, 255, 255});
  CHECK(resize_to(wide, 2, 2) == from_red(2, 2, {10, 20, 30, 40}));
  const Image odd = from_red(4, 1, {255, 5, 255, 255});
  CHECK(resize_to(odd, 1, 1) == from_red(1, 1, {5}));
  const Image tall = from_red(2, 4, {255, 255, 10, 20, 30, 40, 255, 255});
  CHECK(resize_to(tall, 2, 2) == from_red(2, 2, {10, 20, 30, 40}));
  CHECK(resize_to(tall, 2, 1) == from_red(2, 1, {10, 20}));
}

TEST_CASE("A part is resampled regardless of its aspect ratio and its surroundings") {
  const Image image = from_red(4, 3,
                               {255, 255, 255, 255,  //
                                255, 10, 30, 255,    //
                                255, 20, 40, 255});
  CHECK(resample(image, {1, 1, 2, 2}, 2, 2) == from_red(2, 2, {10, 30, 20, 40}));
  CHECK(resample(image, {1, 1, 2, 2}, 1, 2) == from_red(1, 2, {20, 30}));
  CHECK(resample(image, {1, 1, 2, 2}, 1, 1) == from_red(1, 1, {25}));
  CHECK(centred_part(image, 1, 1) == Rectangle{0, 0, 3, 3});
  CHECK(centred_part(image, 2, 4) == Rectangle{1, 0, 1, 3});
}

TEST_CASE("Enlarging interpolates") {
  const Image flat = from_red(2, 2, {70, 70, 70, 70});
  CHECK(resize_to(flat, 5, 5) == from_red(5, 5, {70, 70, 70, 70, 70, 70, 70, 70, 70, 70, 70, 70, 70,
                                                 70, 70, 70, 70, 70, 70, 70, 70, 70, 70, 70, 70}));
  const Image ramp = resize_to(from_red(2, 2, {50, 200, 50, 200}), 8, 8);
  REQUIRE(ramp.pixels.size() == 3 * 8 * 8);
  for (size_t x = 1; x < 8; ++x) {
    INFO("column " << x);
    // The cubic overshoots beside an edge but rises between the two old centres (1.5 and 5.5).
    if (x >= 2 && x <= 5) CHECK(ramp.pixels[3 * x] > ramp.pixels[3 * (x - 1)]);
    CHECK(ramp.pixels[3 * x] == ramp.pixels[3 * (8 * 7 + x)]);
  }
}

}  // namespace
}  // namespace combiner
