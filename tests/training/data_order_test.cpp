#include "training/data_order.h"

#include <algorithm>
#include <numeric>

#include "catch.h"
#include "chi_square.h"

namespace combiner {
namespace {

std::vector<int64_t> indices_of_pass(DataOrder& order, int64_t pass, int64_t size) {
  std::vector<int64_t> indices;
  for (int64_t i = 0; i < size; ++i) indices.push_back(order.at(pass * size + i).index);
  return indices;
}

int64_t flips_of_pass(DataOrder& order, int64_t pass, int64_t size) {
  int64_t flips = 0;
  for (int64_t i = 0; i < size; ++i) flips += order.at(pass * size + i).flipped;
  return flips;
}

TEST_CASE("data order: every pass has every image once, in a new order") {
  constexpr int64_t kSize = 97;
  std::vector<int64_t> sorted(kSize);
  std::iota(sorted.begin(), sorted.end(), int64_t{0});
  DataOrder order(1, kSize, true), other_seed(2, kSize, true);
  std::vector<std::vector<int64_t>> passes = {sorted, indices_of_pass(other_seed, 0, kSize)};
  for (int64_t pass = 0; pass < 4; ++pass) {
    const std::vector<int64_t> indices = indices_of_pass(order, pass, kSize);
    CHECK(std::is_permutation(indices.begin(), indices.end(), sorted.begin(), sorted.end()));
    CHECK(std::count(passes.begin(), passes.end(), indices) == 0);
    passes.push_back(indices);
  }
}

TEST_CASE("data order: any image is equally likely in any place") {
  constexpr int64_t kSize = 6;
  for (const int64_t place : {0, 3, 5}) {
    DataOrder order(3, kSize, false);
    std::vector<int64_t> counts(kSize);
    for (int64_t pass = 0; pass < 20000; ++pass)
      ++counts[static_cast<size_t>(order.at(pass * kSize + place).index)];
    CHECK(chi_square_excess(counts, std::vector<double>(kSize, 1.0 / kSize)) < 4);
  }
}

TEST_CASE("data order: resumes anywhere as if from the start") {
  constexpr int64_t kSize = 13;
  DataOrder straight(5, kSize, true);
  std::vector<DataOrder::Place> places;
  for (int64_t n = 0; n < 4 * kSize; ++n) places.push_back(straight.at(n));
  for (int64_t start = 0; start < 4 * kSize; start += 5) {
    DataOrder resumed(5, kSize, true);
    for (int64_t n = start; n < 4 * kSize; ++n) {
      const DataOrder::Place expected = places[static_cast<size_t>(n)], place = resumed.at(n);
      REQUIRE(place.index == expected.index);
      REQUIRE(place.flipped == expected.flipped);
    }
  }
}

// A checkpoint says how many images were seen, not which. A training that goes on with it, perhaps
// with a newer version, must see the others of the pass.
TEST_CASE("data order: is what it always was") {
  constexpr int64_t kSize = 13;
  DataOrder order(1, kSize, true);
  CHECK(indices_of_pass(order, 0, kSize) ==
        std::vector<int64_t>{4, 11, 10, 8, 6, 9, 7, 5, 3, 2, 1, 0, 12});
  CHECK(indices_of_pass(order, 1, kSize) ==
        std::vector<int64_t>{2, 9, 1, 3, 11, 4, 12, 7, 8, 0, 6, 5, 10});
  std::vector<int64_t> flipped;  // places of both passes
  for (int64_t n = 0; n < 2 * kSize; ++n)
    if (order.at(n).flipped) flipped.push_back(n);
  CHECK(flipped == std::vector<int64_t>{2, 7, 8, 9, 15, 20, 23, 25});
}

TEST_CASE("data order: half of the images are mirrored, if mirroring is on") {
  constexpr int64_t kSize = 10000;
  DataOrder order(1, kSize, true);
  for (int64_t pass = 0; pass < 3; ++pass)  // the standard deviation is 50
    CHECK(std::abs(flips_of_pass(order, pass, kSize) - kSize / 2) < 4 * 50);
  // The second pass mirrors other images: on average, half of the images change.
  int64_t changed = 0;
  std::vector<bool> flipped(kSize);
  for (int64_t n = 0; n < kSize; ++n) {
    const DataOrder::Place place = order.at(n);
    flipped[static_cast<size_t>(place.index)] = place.flipped;
  }
  for (int64_t n = kSize; n < 2 * kSize; ++n) {
    const DataOrder::Place place = order.at(n);
    changed += flipped[static_cast<size_t>(place.index)] != place.flipped;
  }
  CHECK(std::abs(changed - kSize / 2) < 4 * 50);

  DataOrder plain(1, kSize, false);
  CHECK(flips_of_pass(plain, 0, kSize) == 0);
  CHECK(indices_of_pass(plain, 0, kSize) == indices_of_pass(order, 0, kSize));
}

}  // namespace
}  // namespace combiner
