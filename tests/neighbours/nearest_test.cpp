#include "neighbours/nearest.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include "catch.h"
#include "error_of.h"
#include "image/mirror.h"
#include "memory_dataset.h"
#include "random.h"

namespace combiner {
namespace {

using Catch::Matchers::WithinAbs;
using Pixels = std::vector<uint8_t>;

Pixels mirrored(Pixels pixels, int width) {
  mirror(pixels, width);
  return pixels;
}

// The definitions of both distances, for images of one size.
struct Definition {
  int width, height;

  double in_pixels(const Pixels& a, const Pixels& b) const {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += std::pow(int{a[i]} - int{b[i]}, 2);
    return std::sqrt(sum / static_cast<double>(a.size()));
  }

  double in_means(const Pixels& a, const Pixels& b) const {
    double sum = 0;
    for (int top = 0; top < height; top += 4)
      for (int left = 0; left < width; left += 4)
        for (int channel = 0; channel < 3; ++channel) {
          double difference = 0;
          int area = 0;
          for (int y = top; y < std::min(top + 4, height); ++y)
            for (int x = left; x < std::min(left + 4, width); ++x, ++area) {
              const auto i = static_cast<size_t>((y * width + x) * 3 + channel);
              difference += int{a[i]} - int{b[i]};
            }
          sum += difference * difference / area;
        }
    return std::sqrt(sum / (3 * width * height));
  }
};

// The nearest images by definition.
template <class Distance>
std::vector<Neighbour> defined(const Pixels& picture, const MemoryDataset& images, int count,
                               Distance distance) {
  std::vector<Neighbour> all;
  Pixels image(picture.size());
  for (int64_t i = 0; i < images.size(); ++i) {
    images.read(i, image);
    const double as_it_is = distance(image, picture);
    const double turned = distance(image, mirrored(picture, images.width()));
    all.push_back({i, turned < as_it_is, std::min(as_it_is, turned)});
  }
  std::ranges::stable_sort(all, {}, &Neighbour::distance);
  all.resize(static_cast<size_t>(count));
  return all;
}

void check_equal(const std::vector<Neighbour>& found, const std::vector<Neighbour>& expected,
                 double tolerance) {
  REQUIRE(found.size() == expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    INFO("rank " << i);
    CHECK(found[i].index == expected[i].index);
    CHECK(found[i].mirrored == expected[i].mirrored);
    CHECK_THAT(found[i].distance, WithinAbs(expected[i].distance, tolerance));
  }
}

TEST_CASE("nearest: finds what the definition says, at any size") {
  Random random(3);
  const std::vector<std::pair<int, int>> sizes = {{8, 8}, {7, 5}, {1, 1}, {3, 13}, {120, 110}};
  for (const auto& [width, height] : sizes) {
    INFO(width << "x" << height);
    const auto bytes = static_cast<size_t>(3 * width * height);
    const MemoryDataset images(width, height, random.bytes(20 * bytes));
    const std::vector<Image> pictures = {{width, height, random.bytes(bytes)},
                                         {width, height, random.bytes(bytes)}};
    const NearestImages nearest = find_nearest(pictures, images, {.count = 4});
    CHECK(nearest.searched == 20);
    REQUIRE(nearest.of_pictures.size() == 2);
    const Definition definition{width, height};
    for (size_t i = 0; i < 2; ++i) {
      const Pixels& pixels = pictures[i].pixels;
      check_equal(
          nearest.of_pictures[i].in_pixels,
          defined(pixels, images, 4,
                  [&](const Pixels& a, const Pixels& b) { return definition.in_pixels(a, b); }),
          1e-9);
      // The means of blocks that are not whole are rounded.
      const bool whole = width % 4 == 0 && height % 4 == 0;
      check_equal(
          nearest.of_pictures[i].in_means,
          defined(pixels, images, 4,
                  [&](const Pixels& a, const Pixels& b) { return definition.in_means(a, b); }),
          whole ? 1e-9 : 0.25);
    }
  }
}

TEST_CASE("nearest: the farthest images are 255 apart, and sums do not overflow") {
  const int side = 256;
  const size_t bytes = 3 * side * side;
  const MemoryDataset images(side, side, Pixels(bytes, 255));
  const std::vector<Image> black = {{side, side, Pixels(bytes, 0)}};
  const NearestImages nearest = find_nearest(black, images, {});
  CHECK(nearest.of_pictures[0].in_pixels[0].distance == 255);
  CHECK(nearest.of_pictures[0].in_means[0].distance == 255);
}

TEST_CASE("nearest: a copy is at distance 0, and so is a mirrored one") {
  Random random(4);
  Pixels pixels = random.bytes(10 * 8 * 4 * 3);
  const std::span<uint8_t> seventh = std::span(pixels).subspan(7 * 96, 96);
  const std::vector<Image> picture = {{8, 4, {seventh.begin(), seventh.end()}}};
  const auto check = [&](bool turned) {
    const NearestImages nearest = find_nearest(picture, MemoryDataset(8, 4, pixels), {});
    for (const auto& found :
         {nearest.of_pictures[0].in_pixels[0], nearest.of_pictures[0].in_means[0]}) {
      CHECK(found.index == 7);
      CHECK(found.mirrored == turned);
      CHECK(found.distance == 0);
    }
    CHECK(nearest.of_pictures[0].in_pixels[1].distance > 0);
  };
  check(false);
  mirror(seventh, 8);
  check(true);
}

TEST_CASE("nearest: among equals the lowest index comes first, for any number of threads") {
  const size_t bytes = 48;
  Pixels pixels(40 * bytes, 9);
  std::fill_n(pixels.begin() + 30 * bytes, bytes, uint8_t{8});
  const MemoryDataset images(4, 4, pixels);
  const std::vector<Image> picture = {{4, 4, Pixels(bytes, 8)}};
  for (const int threads : {1, 2, 7, 50}) {
    INFO(threads << " threads");
    const NearestImages nearest = find_nearest(picture, images, {.count = 3, .threads = threads});
    const std::vector<Neighbour> expected = {{30, false, 0}, {0, false, 1}, {1, false, 1}};
    check_equal(nearest.of_pictures[0].in_pixels, expected, 0);
    check_equal(nearest.of_pictures[0].in_means, expected, 0);
  }
}

TEST_CASE("nearest: a limit, and fewer images than wanted") {
  Random random(5);
  const MemoryDataset images(4, 4, random.bytes(10 * 48));
  const std::vector<Image> picture = {{4, 4, random.bytes(48)}};
  const NearestImages three = find_nearest(picture, images, {.count = 5, .limit = 3});
  CHECK(three.searched == 3);
  CHECK(three.of_pictures[0].in_pixels.size() == 3);
  CHECK(three.of_pictures[0].in_means.size() == 3);
  for (const Neighbour& neighbour : three.of_pictures[0].in_pixels) CHECK(neighbour.index < 3);
  CHECK(find_nearest(picture, images, {.limit = 100}).searched == 10);
}

TEST_CASE("nearest: reports each image and ends when asked to") {
  Random random(6);
  const MemoryDataset images(4, 4, random.bytes(50 * 48));
  const std::vector<Image> picture = {{4, 4, random.bytes(48)}};
  int64_t last = 0;
  const NearestOptions until_seven = {.cancel = Cancel([&] { return last == 7; })};
  const auto count = [&](int64_t done, int64_t total) {
    CHECK(total == 50);
    CHECK(done == ++last);
  };
  const NearestImages seven = find_nearest(picture, images, until_seven, count);
  CHECK(seven.searched == 7);
  const NearestImages limited = find_nearest(picture, images, {.limit = 7});
  check_equal(seven.of_pictures[0].in_pixels, limited.of_pictures[0].in_pixels, 0);
}

TEST_CASE("nearest: an image that can't be read is left out, or an Error") {
  class Damaged final : public MemoryDataset {
   public:
    using MemoryDataset::MemoryDataset;
    void read(int64_t index, std::span<uint8_t> pixels) const override {
      if (index % 2 == 1) throw Error("can't read one");
      MemoryDataset::read(index, pixels);
    }
  };
  Random random(6);
  const Damaged images(4, 4, random.bytes(10 * 48));
  const std::vector<Image> picture = {{4, 4, random.bytes(48)}};
  CHECK_THAT(error_of([&] { find_nearest(picture, images, {}); }), contains("can't read one"));
  int bad = 0;
  NearestOptions options = {.count = 10, .threads = 2};
  options.on_bad = [&](const std::string& why) {
    CHECK(why == "can't read one");
    ++bad;
  };
  const NearestImages nearest = find_nearest(picture, images, options);
  CHECK(bad == 5);
  CHECK(nearest.searched == 5);
  CHECK(nearest.of_pictures[0].in_pixels.size() == 5);
}

TEST_CASE("nearest: unfit pictures and empty data sets are Errors") {
  const auto fails = [](const Image& picture, const Dataset& images) {
    return error_of([&] { find_nearest(std::span(&picture, 1), images, {}); });
  };
  const Image picture{4, 5, Pixels(60)};
  CHECK_THAT(fails(picture, MemoryDataset(5, 4, Pixels(60))),
             contains("picture 0 has 4x5 pixels; expected 5x4"));
  CHECK_THAT(fails(picture, MemoryDataset(4, 5, {})), contains("no images"));
}

}  // namespace
}  // namespace combiner
