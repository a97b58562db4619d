#include "tensor/int8_row.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace combiner {
namespace {

constexpr float kMaxInt8 = 127;
// The 7 bits that a product with an integer up to 127 adds to the mantissa.
constexpr uint32_t kProductBits = 0x7f;
// A float of this size has no fraction bits, so adding it rounds to the nearest integer.
constexpr float kRounder = 0x1.8p23f;

}  // namespace

float quantize_row(std::span<const float> row, std::span<int8_t> quantized) {
  float largest = 0;
  for (const float w : row) largest = std::max(largest, std::abs(w));
  const float scale =
      std::bit_cast<float>(std::bit_cast<uint32_t>(largest / kMaxInt8) & ~kProductBits);
  if (scale < std::numeric_limits<float>::min()) {
    std::ranges::fill(quantized, int8_t{0});
    return 0;
  }
  for (size_t i = 0; i < row.size(); ++i)
    quantized[i] = static_cast<int8_t>((row[i] / scale + kRounder) - kRounder);
  return scale;
}

}  // namespace combiner
