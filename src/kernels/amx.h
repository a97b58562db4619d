// Tile registers (Intel AMX): eight matrices of 16 rows of 64 bytes, and instructions that multiply
// two of them, of bfloat16 or of 8-bit integers, and add to a third. Such a processor multiplies
// bfloat16 some ten times faster than floats.
#pragma once

#include <atomic>
#include <cstdint>

// Whether the compiler can make kernels of them. Those are compiled along with Highway's AVX3
// target, in functions marked COMBINER_AMX, and called where amx_available().
#if defined(__x86_64__) && defined(__linux__) && (defined(__GNUC__) || defined(__clang__))
#define COMBINER_HAS_AMX 1
#define COMBINER_AMX \
  __attribute__((target("amx-tile,amx-bf16,amx-int8,avx512bf16,avx512vnni,prfchw")))
#else
#define COMBINER_HAS_AMX 0
#endif

namespace combiner {

// Whether processor and system have them, AVX-512 BF16 too, and kernels may use them.
bool amx_available();

// While it lives, kernels do without: for tests of what they do then.
class WithoutAmx {
 public:
  WithoutAmx();
  ~WithoutAmx();
  WithoutAmx(const WithoutAmx&) = delete;
  WithoutAmx& operator=(const WithoutAmx&) = delete;
};

// A tile's shape: products read a, [rows, depth], and b, depths in groups that fill 32 bits,
// [groups, columns, group], and add to c, [rows, columns] of 32 bits.
inline constexpr int64_t kTileRows = 16;   // and columns
inline constexpr int64_t kTileBytes = 64;  // of a row

// To be called between what is stored and the first tile that is loaded from there: compilers do
// not know that tiles are loaded from memory.
inline void finish_stores_for_tiles() { std::atomic_signal_fence(std::memory_order_seq_cst); }

// What the tile registers are told of their shapes.
struct alignas(64) TileShapes {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  constexpr void set(int tile, int64_t tile_rows, int64_t bytes = kTileBytes) {
    rows[tile] = static_cast<uint8_t>(tile_rows);
    row_bytes[tile] = static_cast<uint16_t>(bytes);
  }
};

}  // namespace combiner
