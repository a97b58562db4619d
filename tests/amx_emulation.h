// The AMX intrinsics in plain C++, so that the AMX kernels can be tested where there is only
// AVX-512 BF16. Included before all else in those kernels (tests/CMakeLists.txt).
#pragma once

// GCC 12 takes values that these headers leave undefined on purpose for mistakes.
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop

#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace combiner::emulated {

struct Tiles {
  uint8_t data[8][16][64];
  uint16_t row_bytes[8];
  uint8_t rows[8];
};
inline thread_local Tiles tiles;

// The operand holds the palette and the first row, and from bytes 16 and 48 on the shapes.
inline void load_config(const void* config) {
  tiles = {};
  std::memcpy(tiles.row_bytes, static_cast<const char*>(config) + 16, sizeof(tiles.row_bytes));
  std::memcpy(tiles.rows, static_cast<const char*>(config) + 48, sizeof(tiles.rows));
}
inline void zero(int tile) { std::memset(tiles.data[tile], 0, sizeof(tiles.data[tile])); }
// Bytes and rows beyond the shape become zero.
inline void load(int tile, const void* from, int64_t stride) {
  zero(tile);
  for (int i = 0; i < tiles.rows[tile]; ++i)
    std::memcpy(tiles.data[tile][i], static_cast<const char*>(from) + i * stride,
                tiles.row_bytes[tile]);
}
inline void store(int tile, void* to, int64_t stride) {
  for (int i = 0; i < tiles.rows[tile]; ++i)
    std::memcpy(static_cast<char*>(to) + i * stride, tiles.data[tile][i], tiles.row_bytes[tile]);
}

// c[m][n] += the sum over 32-bit groups k of dot(group k of row m of a, group n of row k of b).
// Shapes that don't fit end the program, as the processor would.
template <class Element, class Dot>
void multiply(int c, int a, int b, const Dot& dot) {
  if (tiles.rows[a] != tiles.rows[c] || tiles.row_bytes[b] != tiles.row_bytes[c] ||
      tiles.row_bytes[a] / 4 != tiles.rows[b] || tiles.row_bytes[a] % 4 != 0)
    std::abort();
  for (int m = 0; m < tiles.rows[c]; ++m)
    for (int n = 0; n < tiles.row_bytes[c] / 4; ++n) {
      Element sum;
      std::memcpy(&sum, &tiles.data[c][m][4 * n], 4);
      for (int k = 0; k < tiles.row_bytes[a] / 4; ++k)
        sum += dot(&tiles.data[a][m][4 * k], &tiles.data[b][k][4 * n]);
      std::memcpy(&tiles.data[c][m][4 * n], &sum, 4);
    }
}
inline void multiply_bfloat16(int c, int a, int b) {
  multiply<float>(c, a, b, [](const uint8_t* x, const uint8_t* y) {
    const auto at = [](const uint8_t* from) {
      uint16_t bits;
      std::memcpy(&bits, from, 2);
      return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
    };
    return at(x) * at(y) + at(x + 2) * at(y + 2);
  });
}
inline void multiply_int8(int c, int a, int b) {
  multiply<int32_t>(c, a, b, [](const uint8_t* x, const uint8_t* y) {
    int32_t sum = 0;
    for (int i = 0; i < 4; ++i) sum += static_cast<int8_t>(x[i]) * static_cast<int8_t>(y[i]);
    return sum;
  });
}

}  // namespace combiner::emulated

#undef _tile_loadconfig
#undef _tile_release
#undef _tile_zero
#undef _tile_loadd
#undef _tile_stored
#undef _tile_dpbf16ps
#undef _tile_dpbssd
#define _tile_loadconfig(config) combiner::emulated::load_config(config)
#define _tile_release() static_cast<void>(0)
#define _tile_zero(tile) combiner::emulated::zero(tile)
#define _tile_loadd(tile, from, stride) combiner::emulated::load(tile, from, stride)
#define _tile_stored(tile, to, stride) combiner::emulated::store(tile, to, stride)
#define _tile_dpbf16ps(c, a, b) combiner::emulated::multiply_bfloat16(c, a, b)
#define _tile_dpbssd(c, a, b) combiner::emulated::multiply_int8(c, a, b)
