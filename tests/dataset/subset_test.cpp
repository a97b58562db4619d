#include "dataset/subset.h"

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <utility>
#include <vector>

#include "catch.h"
#include "error_of.h"

namespace combiner {
namespace {

// Ten images of one pixel each; image i is (i, i, i).
class Ten : public Dataset {
 public:
  int64_t size() const override { return 10; }
  int width() const override { return 1; }
  int height() const override { return 1; }
  void read(int64_t index, std::span<uint8_t> pixels) const override {
    for (uint8_t& byte : pixels) byte = static_cast<uint8_t>(index);
  }
  std::string describe(int64_t index) const override { return "image " + std::to_string(index); }
};

TEST_CASE("A subset has the images of the given numbers") {
  const Subset some(std::make_shared<Ten>(), {7, 9, 3});
  CHECK(some.size() == 3);
  CHECK(some.width() == 1);
  CHECK(some.height() == 1);
  uint8_t pixels[3];
  some.read(1, pixels);
  CHECK(pixels[0] == 9);
  CHECK(some.describe(2) == "image 3");
  CHECK(Subset(std::make_shared<Ten>(), {}).size() == 0);
}

TEST_CASE("A subset with an image that isn't there is an Error") {
  const auto error = [](std::vector<int64_t> indices) {
    return error_of([&] { Subset(std::make_shared<Ten>(), std::move(indices)); });
  };
  CHECK_THAT(error({1, 10}), contains("has 10 images; expected one with the number 10"));
  CHECK_THAT(error({-1}), contains("expected one with the number -1"));
  CHECK_THAT(error({std::numeric_limits<int64_t>::max()}), contains("has 10 images"));
}

TEST_CASE("Drawn indices are different numbers in order, the same for the same seed") {
  const std::vector<int64_t> drawn = drawn_indices(1000, 100, 1);
  REQUIRE(drawn.size() == 100);
  CHECK(std::ranges::is_sorted(drawn));
  CHECK(std::ranges::adjacent_find(drawn) == drawn.end());
  CHECK(drawn.front() >= 0);
  CHECK(drawn.back() < 1000);
  CHECK(drawn_indices(1000, 100, 1) == drawn);
  CHECK(drawn_indices(1000, 100, 2) != drawn);
  CHECK(drawn_indices(10, 10, 3) == index_range(0, 10));
  CHECK(drawn_indices(10, 0, 3).empty());
}

// A training that goes on, perhaps with a newer version, must hold out the images that it did not
// see before.
TEST_CASE("Indices are drawn as they always were") {
  CHECK(drawn_indices(50, 8, 1) == std::vector<int64_t>{0, 3, 4, 8, 10, 26, 32, 45});
}

TEST_CASE("Indices are drawn from everywhere alike") {
  // Each number is drawn with the probability 0.3, 300 times on average with a deviation of 14.5.
  std::vector<int> counts(20);
  for (uint64_t seed = 0; seed < 1000; ++seed)
    for (const int64_t index : drawn_indices(20, 6, seed)) ++counts[static_cast<size_t>(index)];
  for (const int count : counts) CHECK(std::abs(count - 300) < 5 * 14.5);
}

TEST_CASE("The other indices are those that a set leaves") {
  CHECK(other_indices(5, std::vector<int64_t>{1, 4}) == std::vector<int64_t>{0, 2, 3});
  CHECK(other_indices(3, {}) == index_range(0, 3));
  CHECK(other_indices(3, index_range(0, 3)).empty());
  CHECK(index_range(3, 5) == std::vector<int64_t>{3, 4});
}

}  // namespace
}  // namespace combiner
