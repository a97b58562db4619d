// Intel AMX: eight tile registers, each a matrix of 16 rows of 64 bytes, and instructions that
// multiply two tiles, of bfloat16 or of 8-bit integers, and add the product to a third. A processor
// with AMX multiplies bfloat16 about seven times as fast as float.
#pragma once

#include <atomic>
#include <cstdint>

#include "cpu/avx512.h"

namespace combiner {

// Tile shapes. A product reads a, [rows, depth], and b, whose depths are stored in groups that fill
// 32 bits, [groups, columns, group]. It adds to c, [rows, columns] of 32-bit elements.
inline constexpr int64_t kTileRows = 16;   // also columns of c
inline constexpr int64_t kTileBytes = 64;  // per row

// Must be called between stores to memory and the first tile load from it. Compilers do not know
// that tile loads read memory, and may otherwise move the stores past them.
inline void finish_stores_for_tiles() { std::atomic_signal_fence(std::memory_order_seq_cst); }

// The operand of _tile_loadconfig, which sets the shapes of the tile registers.
struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  // Must be called before _tile_loadconfig. GCC 12's says only of the first bytes that it reads
  // them.
  void finish_stores() const { asm volatile("" ::"m"(*this)); }

  constexpr void set(int tile, int64_t tile_rows, int64_t bytes = kTileBytes) {
    rows[tile] = static_cast<uint8_t>(tile_rows);
    row_bytes[tile] = static_cast<uint16_t>(bytes);
  }
};

}  // namespace combiner
