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
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace combiner::emulated {

constexpr int kTiles = 8, kRows = 16, kRowBytes = 64;

// A tile without rows is not configured.
struct Tiles {
  uint8_t data[kTiles][kRows][kRowBytes];
  uint16_t row_bytes[kTiles];
  uint8_t rows[kTiles];
};
inline thread_local Tiles tiles;

// Ends the program where the processor would raise an exception.
inline void require(bool condition, const char* fault) {
  if (condition) return;
  std::fprintf(stderr, "emulated AMX: %s\n", fault);
  std::abort();
}
inline void require_shape(int tile) {
  require(tiles.rows[tile] > 0, "a tile that is not configured is used");
}

// The operand holds the palette and the first row, and from bytes 16 and 48 on the shapes.
inline void load_config(const void* config) {
  const auto* from = static_cast<const char*>(config);
  require(from[0] == 1, "the palette is not 1");
  tiles = {};
  std::memcpy(tiles.row_bytes, from + 16, sizeof(tiles.row_bytes));
  std::memcpy(tiles.rows, from + 48, sizeof(tiles.rows));
  for (int tile = 0; tile < kTiles; ++tile) {
    require(tiles.rows[tile] <= kRows, "a tile has more than 16 rows");
    require(tiles.row_bytes[tile] <= kRowBytes, "a tile has rows of more than 64 bytes");
    require((tiles.rows[tile] == 0) == (tiles.row_bytes[tile] == 0),
            "a tile has no rows but bytes in them, or none in its rows");
  }
}
inline void release() { tiles = {}; }
inline void zero(int tile) {
  require_shape(tile);
  std::memset(tiles.data[tile], 0, sizeof(tiles.data[tile]));
}
// Bytes and rows beyond the shape become zero.
inline void load(int tile, const void* from, int64_t stride) {
  zero(tile);
  for (int i = 0; i < tiles.rows[tile]; ++i)
    std::memcpy(tiles.data[tile][i], static_cast<const char*>(from) + i * stride,
                tiles.row_bytes[tile]);
}
inline void store(int tile, void* to, int64_t stride) {
  require_shape(tile);
  for (int i = 0; i < tiles.rows[tile]; ++i)
    std::memcpy(static_cast<char*>(to) + i * stride, tiles.data[tile][i], tiles.row_bytes[tile]);
}

// c[m][n] += the sum over 32-bit groups k of dot(group k of row m of a, group n of row k of b).
template <class Element, class Dot>
void multiply(int c, int a, int b, const Dot& dot) {
  for (const int tile : {c, a, b}) require_shape(tile);
  require(c != a && c != b && a != b, "a tile is used twice in a product");
  require(tiles.rows[a] == tiles.rows[c] && tiles.row_bytes[b] == tiles.row_bytes[c] &&
              tiles.row_bytes[a] == 4 * tiles.rows[b] && tiles.row_bytes[c] % 4 == 0,
          "the shapes of a product do not fit");
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
#define _tile_release() combiner::emulated::release()
#define _tile_zero(tile) combiner::emulated::zero(tile)
#define _tile_loadd(tile, from, stride) combiner::emulated::load(tile, from, stride)
#define _tile_stored(tile, to, stride) combiner::emulated::store(tile, to, stride)
#define _tile_dpbf16ps(c, a, b) combiner::emulated::multiply_bfloat16(c, a, b)
#define _tile_dpbssd(c, a, b) combiner::emulated::multiply_int8(c, a, b)
