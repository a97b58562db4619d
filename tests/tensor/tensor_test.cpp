#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "catch.h"
#include "combiner/matrix.h"
#include "tensor/bfloat16.h"
#include "tensor/buffer.h"

namespace combiner {
namespace {

TEST_CASE("Every bfloat16 survives conversion to float and back") {
  size_t different = 0;
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const bfloat16 value{static_cast<uint16_t>(bits)};
    const float wide = to_float(value);
    const uint16_t back = to_bfloat16(wide).bits;
    // A signalling NaN becomes quiet.
    if (std::isnan(wide) ? back != (bits | 0x40u) : back != bits) ++different;
  }
  CHECK(different == 0);
}

TEST_CASE("to_bfloat16 rounds to nearest, ties to even") {
  const auto next = [](bfloat16 b) { return bfloat16{static_cast<uint16_t>(b.bits + 1)}; };
  size_t wrong = 0;
  // Every pair of finite neighbours, of both signs.
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const bfloat16 low{static_cast<uint16_t>(bits)};
    if (!std::isfinite(to_float(low)) || !std::isfinite(to_float(next(low)))) continue;
    const uint32_t middle = bits << 16 | 0x8000u;
    const bfloat16 even = bits % 2 == 0 ? low : next(low);
    if (to_bfloat16(std::bit_cast<float>(middle - 1)).bits != low.bits) ++wrong;
    if (to_bfloat16(std::bit_cast<float>(middle)).bits != even.bits) ++wrong;
    if (to_bfloat16(std::bit_cast<float>(middle + 1)).bits != next(low).bits) ++wrong;
  }
  CHECK(wrong == 0);
  CHECK(to_float(to_bfloat16(std::numeric_limits<float>::max())) == HUGE_VALF);
  CHECK(to_float(to_bfloat16(-HUGE_VALF)) == -HUGE_VALF);
  CHECK(std::isnan(to_float(to_bfloat16(std::bit_cast<float>(0x7f800001u)))));
  CHECK(std::isnan(to_float(to_bfloat16(std::bit_cast<float>(0xffffffffu)))));
}

TEST_CASE("A buffer is aligned and initially zero, and can be moved and cloned") {
  for (const size_t size : {1u, 3u, 17u, 1000u}) {
    Buffer<float> buffer(size);
    CHECK(reinterpret_cast<uintptr_t>(buffer.data()) % 64 == 0);
    CHECK(buffer.size() == size);
    CHECK(std::count(buffer.begin(), buffer.end(), 0.0f) == static_cast<std::ptrdiff_t>(size));
    buffer.fill(2.5f);
    buffer[0] = 1.5f;

    const Buffer<float> copy = buffer.clone();
    const float* place = buffer.data();
    Buffer<float> moved = std::move(buffer);
    CHECK(moved.data() == place);
    CHECK(moved.size() == size);
    CHECK(buffer.size() == 0);
    CHECK(buffer.empty());
    CHECK(copy.data() != place);
    CHECK(std::equal(copy.begin(), copy.end(), moved.begin(), moved.end()));
    moved[0] = 7.0f;
    CHECK(copy[0] == 1.5f);
    buffer = std::move(moved);
    CHECK(buffer.data() == place);
    CHECK(moved.empty());
  }
  CHECK(Buffer<float>().empty());
  CHECK(Buffer<float>(0).empty());
}

TEST_CASE("Blocks of a matrix refer to the same elements") {
  std::vector<int> values(40);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<int>(i);
  const Matrix<int> m(values.data(), 5, 6, 8);
  CHECK(m.row(2)[3] == 19);
  const Matrix<int> block = m.row_block(1, 3).column_block(2, 4);
  CHECK(block.rows == 3);
  CHECK(block.columns == 4);
  CHECK(block.stride == 8);
  CHECK(block.row(0)[0] == 10);
  CHECK(block.row(2)[3] == 29);
  const Matrix<const int> read_only = block;
  CHECK(read_only.row(2) == block.row(2));
}

}  // namespace
}  // namespace combiner
