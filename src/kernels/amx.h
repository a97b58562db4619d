// Intel AMX: eight tile registers, each a matrix of 16 rows of 64 bytes, and instructions that
// multiply two tiles, of bfloat16 or of 8-bit integers, and add the product to a third. A processor
// with AMX multiplies bfloat16 about ten times as fast as float.
#pragma once

#include <atomic>
#include <cstdint>

// Whether the compiler can generate AMX code. AMX kernels are compiled along with Highway's AVX3
// target, in functions marked COMBINER_AMX, and may be called only if amx_available().
#if defined(__x86_64__) && defined(__linux__) && (defined(__GNUC__) || defined(__clang__))
#define COMBINER_HAS_AMX 1
#define COMBINER_AMX \
  __attribute__((target("amx-tile,amx-bf16,amx-int8,avx512bf16,avx512vnni,prfchw")))
#else
#define COMBINER_HAS_AMX 0
#endif

namespace combiner {

// Whether kernels may use AMX: the processor and the operating system support AMX and AVX-512 BF16,
// Highway dispatches to its AVX3 target, and no WithoutAmx object exists.
bool amx_available();

// Disables AMX during its lifetime, so that tests can cover the code that runs without it.
class WithoutAmx {
 public:
  WithoutAmx();
  ~WithoutAmx();
  WithoutAmx(const WithoutAmx&) = delete;
  WithoutAmx& operator=(const WithoutAmx&) = delete;
};

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

  constexpr void set(int tile, int64_t tile_rows, int64_t bytes = kTileBytes) {
    rows[tile] = static_cast<uint8_t>(tile_rows);
    row_bytes[tile] = static_cast<uint16_t>(bytes);
  }
};

}  // namespace combiner
