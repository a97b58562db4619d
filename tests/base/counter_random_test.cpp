#include "base/counter_random.h"

#include <vector>

#include "catch.h"
#include "chi_square.h"

namespace combiner {
namespace {

double top_53_bits(uint64_t bits) { return static_cast<double>(bits >> 11) * 0x1p-53; }

// The excess (see chi_square_excess) of the counts of `draws` draws in equal bins of [0, 1).
template <class Draw>
double uniformity(int64_t draws, Draw&& draw) {
  constexpr size_t kBins = 64;
  std::vector<int64_t> counts(kBins);
  for (int64_t i = 0; i < draws; ++i) {
    const double u = draw(static_cast<uint64_t>(i));
    REQUIRE((u >= 0 && u < 1));
    ++counts[static_cast<size_t>(u * kBins)];
  }
  return chi_square_excess(counts, std::vector<double>(kBins, 1.0 / kBins));
}

}  // namespace

// The generator's authors publish these known answers for philox2x64 with 10 rounds.
TEST_CASE("random: matches the published answers of Philox2x64-10") {
  constexpr uint64_t kOnes = ~uint64_t{0};
  CHECK(counter_uniform(0, 0, 0) == top_53_bits(0xca00a0459843d731));
  CHECK(counter_uniform(kOnes, kOnes, kOnes) == top_53_bits(0x65b021d60cd8310f));
  CHECK(counter_uniform(0xa4093822299f31d0, 0x13198a2e03707344, 0x243f6a8885a308d3) ==
        top_53_bits(0x0a5e742c2997341c));
}

TEST_CASE("random: earlier versions drew the same numbers, hence the same pictures") {
  CHECK(counter_uniform(1, 0, 0) == 0x1.d7a4a4f00a661p-1);
  CHECK(counter_uniform(0, 1, 0) == 0x1.b765f3df9a468p-4);
  CHECK(counter_uniform(0, 0, 1) == 0x1.345883fbd77acp-3);
  CHECK(counter_uniform(12345, 678, 9) == 0x1.21ddfe32f1225p-1);
}

TEST_CASE("random: uniform along sub-pixels, images and seeds") {
  CHECK(uniformity(100000, [](uint64_t i) { return counter_uniform(1, 2, i); }) < 4);
  CHECK(uniformity(100000, [](uint64_t i) { return counter_uniform(1, i, 2); }) < 4);
  CHECK(uniformity(100000, [](uint64_t i) { return counter_uniform(i, 1, 2); }) < 4);
}

TEST_CASE("random: neighbouring numbers are independent") {
  const auto pairs = [](auto&& first, auto&& second) {
    constexpr size_t kBins = 8;
    std::vector<int64_t> counts(kBins * kBins);
    for (uint64_t i = 0; i < 50000; ++i)
      ++counts[static_cast<size_t>(first(i) * kBins) * kBins +
               static_cast<size_t>(second(i) * kBins)];
    return chi_square_excess(counts, std::vector<double>(counts.size(), 1.0 / (kBins * kBins)));
  };
  const auto at = [](uint64_t i) { return counter_uniform(5, 6, i); };
  CHECK(pairs(at, [](uint64_t i) { return counter_uniform(5, 6, i + 1); }) < 4);
  CHECK(pairs(at, [](uint64_t i) { return counter_uniform(5, 7, i); }) < 4);
  CHECK(pairs(at, [](uint64_t i) { return counter_uniform(6, 6, i); }) < 4);
  CHECK(pairs(at, at) > 100);  // the test must detect dependence where there is some
}

}  // namespace combiner
