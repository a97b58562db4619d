#include "codec/frequencies.h"

#include <cmath>
#include <limits>
#include <vector>

#include "catch.h"
#include "codec/range_coder.h"
#include "error_of.h"
#include "random.h"

namespace combiner {
namespace {

// Logits from flat to a single likely value.
std::vector<float> some_logits(Random& random) {
  const double deviation = std::exp2(static_cast<double>(random.below(12)) - 6);
  return random.normals(1 + random.below(256), deviation);
}

TEST_CASE("Frequencies are at least 1, follow one another and sum to the total") {
  Random random(1);
  for (int i = 0; i < 300; ++i) {
    const std::vector<float> logits = some_logits(random);
    const Frequencies frequencies(logits);
    uint32_t end = 0;
    for (size_t value = 0; value < logits.size(); ++value) {
      const auto byte = static_cast<uint8_t>(value);
      const FrequencyRange range = frequencies.of(byte);
      REQUIRE(range.begin == end);
      REQUIRE(range.size >= 1);
      end += range.size;
      for (const uint32_t target : {range.begin, end - 1}) {
        const auto found = frequencies.find(target);
        REQUIRE(found.value == byte);
        REQUIRE(found.range.begin == range.begin);
        REQUIRE(found.range.size == range.size);
      }
    }
    REQUIRE(end == kFrequencyTotal);
  }
}

TEST_CASE("Frequencies cost at most a thousandth more than the probabilities") {
  Random random(2);
  double ideal = 0, paid = 0;  // bits, in the mean over the model's own distributions
  for (int i = 0; i < 300; ++i) {
    const std::vector<float> logits = some_logits(random);
    const Frequencies frequencies(logits);
    double sum = 0;
    for (const float logit : logits) sum += std::exp(double{logit});
    for (size_t value = 0; value < logits.size(); ++value) {
      const double p = std::exp(double{logits[value]}) / sum;
      const double share =
          frequencies.of(static_cast<uint8_t>(value)).size / double{kFrequencyTotal};
      ideal -= p * std::log2(p + 1e-300);
      paid -= p * std::log2(share);
    }
  }
  CHECK(paid >= ideal);
  CHECK(paid < 1.001 * ideal);
}

TEST_CASE("Frequencies of extreme logits") {
  const std::vector<float> far = {-1e30F, 1e30F, 0};
  CHECK(Frequencies(far).of(1).size == kFrequencyTotal - 2);
  const std::vector<float> equal(256, -7.5F);
  for (int value = 0; value < 256; ++value)
    CHECK(Frequencies(equal).of(static_cast<uint8_t>(value)).size == kFrequencyTotal / 256);
  for (const float bad :
       {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
        std::numeric_limits<float>::quiet_NaN()}) {
    const std::vector<float> logits = {0, bad, 1};
    CHECK_THAT(error_of([&] { Frequencies f(logits); }), contains("not a finite number"));
  }
}

// A change makes all compressed files unreadable.
TEST_CASE("Frequencies are made in the specified arithmetic") {
  const std::vector<float> logits = {0.25F, -1.5F, 3.0F, 2.9375F, -40.0F};
  const Frequencies frequencies(logits);
  std::vector<uint32_t> sizes;
  for (uint8_t value = 0; value < 5; ++value) sizes.push_back(frequencies.of(value).size);
  CHECK(sizes == std::vector<uint32_t>{532414, 92507, 8328012, 7824282, 1});
}

}  // namespace
}  // namespace combiner
