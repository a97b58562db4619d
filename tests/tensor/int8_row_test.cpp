#include "tensor/int8_row.h"

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "catch.h"
#include "random.h"

namespace combiner {
namespace {

struct Quantized {
  float scale = 0;
  std::vector<int8_t> q;

  explicit Quantized(const std::vector<float>& row) : q(row.size(), int8_t{99}) {
    scale = quantize_row(row, q);
  }
  std::vector<float> row() const {
    std::vector<float> values;
    for (const int8_t n : q) values.push_back(static_cast<float>(n) * scale);
    return values;
  }
};

// Whether quantising the result again changes no bit.
bool is_fixed(const Quantized& quantized) {
  const Quantized again(quantized.row());
  return again.q == quantized.q &&
         std::bit_cast<uint32_t>(again.scale) == std::bit_cast<uint32_t>(quantized.scale);
}

constexpr float kLargest = std::numeric_limits<float>::max();
constexpr float kSmallest = std::numeric_limits<float>::min();

TEST_CASE("quantize_row: gives the nearest multiples of the largest magnitude / 127") {
  const Quantized simple({-127, 0, 1.4f, 1.6f, 126.4f, -63.6f});
  CHECK(simple.scale == 1.0f);
  CHECK(simple.q == std::vector<int8_t>{-127, 0, 1, 2, 126, -64});
  const Quantized halves({63.5f, -0.2f, -0.3f});
  CHECK(halves.scale == 0.5f);
  CHECK(halves.q == std::vector<int8_t>{127, 0, -1});
}

TEST_CASE("quantize_row: each weight is within half a step, and the scale within 17 bits") {
  Random random(1);
  for (int trial = 0; trial < 2000; ++trial) {
    const std::vector<float> row = random.normals(40, std::exp(random.normal(10)));
    const Quantized quantized(row);
    double largest = 0;
    for (const float w : row) largest = std::max(largest, std::abs(double{w}));
    CHECK(quantized.scale <= largest / 127 * (1 + 0x1p-23));
    CHECK(quantized.scale > largest / 127 * (1 - 0x1p-16));
    int most = 0;
    size_t far = 0, inexact = 0;
    for (size_t i = 0; i < row.size(); ++i) {
      const double exact = double{quantized.scale} * quantized.q[i];
      most = std::max(most, std::abs(int{quantized.q[i]}));
      // The largest weight may be 127 * 2^-16 of a step beyond 127 steps.
      if (std::abs(exact - double{row[i]}) > quantized.scale * 0.50001) ++far;
      if (static_cast<double>(quantized.row()[i]) != exact) ++inexact;
    }
    CHECK(most == 127);
    CHECK(far == 0);
    CHECK(inexact == 0);
  }
}

TEST_CASE("quantize_row: quantising again changes nothing") {
  Random random(2);
  size_t changed = 0;
  for (int trial = 0; trial < 20000; ++trial)
    if (!is_fixed(Quantized(random.normals(16, std::exp(random.normal(15)))))) ++changed;
  CHECK(changed == 0);
  // Every mantissa of the largest weight, in strides.
  for (uint32_t mantissa = 0; mantissa < 0x800000; mantissa += 61)
    if (!is_fixed(Quantized({std::bit_cast<float>(0x3f800000u | mantissa), 0.3f}))) ++changed;
  CHECK(changed == 0);
}

TEST_CASE("quantize_row: rows of zeros, of the smallest and of the largest numbers") {
  for (const float w : {0.0f, -0.0f, std::numeric_limits<float>::denorm_min(), 126 * kSmallest}) {
    const Quantized tiny({w, -w});
    CHECK(tiny.scale == 0);
    CHECK(tiny.q == std::vector<int8_t>{0, 0});
    CHECK(is_fixed(tiny));
  }
  for (const float w : {127 * kSmallest, 1000 * kSmallest, kLargest / 2, kLargest}) {
    const Quantized row({w, -w});
    CHECK(row.q == std::vector<int8_t>{127, -127});
    CHECK(std::isfinite(row.row()[0]));
    CHECK(is_fixed(row));
  }
  CHECK(Quantized({}).scale == 0);
}

}  // namespace
}  // namespace combiner
