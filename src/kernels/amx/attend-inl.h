// What attention in bfloat16 with AMX and its gradient have in common: rows in the layouts of
// tiles, and their products.

#if defined(COMBINER_KERNELS_AMX_ATTEND_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef COMBINER_KERNELS_AMX_ATTEND_INL_H_
#undef COMBINER_KERNELS_AMX_ATTEND_INL_H_
#else
#define COMBINER_KERNELS_AMX_ATTEND_INL_H_
#endif

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"
#include "kernels/amx/tiles-inl.h"
#include "kernels/amx/tiles.h"
#include "kernels/portable/simd-inl.h"

#if COMBINER_AVX512_TARGET

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "base/round_up.h"
#include "tensor/bfloat16.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE::amx {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::FixedTag<float, 16>;
using V = hn::Vec<D>;
using Counts = hn::FixedTag<int32_t, 16>;

// Configures all eight tile registers with their full shape for its lifetime.
class Tiles {
 public:
  COMBINER_AMX Tiles() {
    TileShapes shapes;
    for (int tile = 0; tile < 8; ++tile) shapes.set(tile, kTileRows);
    finish_stores_for_tiles();
    shapes.finish_stores();
    _tile_loadconfig(&shapes);
  }
  COMBINER_AMX ~Tiles() { _tile_release(); }
  Tiles(const Tiles&) = delete;
  Tiles& operator=(const Tiles&) = delete;
};

// Rows of bfloat16 that can be read in whole tiles: either the caller's own or a padded copy.
struct Rows {
  const bfloat16* data;
  int64_t stride;
};

// Copies `rows` rows of `width` elements, each padded with zeros to `padded` elements.
HWY_INLINE Rows Copied(Rows from, int64_t rows, int64_t width, int64_t padded,
                       bfloat16* HWY_RESTRICT copy) {
  for (int64_t i = 0; i < rows; ++i) {
    std::memcpy(copy + i * padded, from.data + i * from.stride,
                static_cast<size_t>(width) * sizeof(bfloat16));
    std::fill(copy + i * padded + width, copy + (i + 1) * padded, bfloat16{});
  }
  return {copy, padded};
}
HWY_INLINE Rows Padded(Rows from, int64_t rows, int64_t width, int64_t padded,
                       bfloat16* HWY_RESTRICT copy) {
  return width == padded ? from : Copied(from, rows, width, padded, copy);
}

// Applies TransposePairs to a whole matrix. Stores the tiles of its transpose in the order
// [blocks of 16 rows][chunks of 32 features].
HWY_INLINE void TransposeTiles(Rows from, int64_t rows, int64_t padded, bfloat16* HWY_RESTRICT to) {
  for (int64_t i = 0; i < rows; i += kRows)
    for (int64_t c = 0; c < padded; c += kDepth, to += kTile)
      TransposePairs(from.data + i * from.stride + c, from.stride, rows - i, to);
}
// Applies InterleaveRows to a whole matrix. Stores tiles in the order
// [chunks of 32 rows][blocks of 16 features].
HWY_INLINE void InterleaveTiles(Rows from, int64_t rows, int64_t padded,
                                bfloat16* HWY_RESTRICT to) {
  for (int64_t i = 0; i < rows; i += kDepth)
    for (int64_t c = 0; c < padded; c += kDepth, to += 2 * kTile)
      InterleaveRows(from.data + i * from.stride + c, from.stride, rows - i, to);
}

// to[16, 16 blocks] (float, row stride `stride`) = rows[16, 32 chunks] times a matrix of
// [blocks, chunks] tiles. Consecutive blocks are `block_tiles` tiles apart, consecutive chunks
// `chunk_tiles`.
COMBINER_AMX HWY_INLINE void MultiplyTiles(Rows rows, const bfloat16* tiles, int64_t blocks,
                                           int64_t block_tiles, int64_t chunks, int64_t chunk_tiles,
                                           float* to, int64_t stride) {
  finish_stores_for_tiles();
  const int64_t row_bytes = rows.stride * static_cast<int64_t>(sizeof(bfloat16));
  const int64_t to_bytes = stride * static_cast<int64_t>(sizeof(float));
  int64_t b = 0;
  for (; b + 2 <= blocks; b += 2) {
    const bfloat16* first = tiles + b * block_tiles * kTile;
    const bfloat16* second = first + block_tiles * kTile;
    _tile_zero(0);
    _tile_zero(1);
    for (int64_t c = 0; c < chunks; ++c) {
      _tile_loadd(2, rows.data + c * kDepth, row_bytes);
      _tile_loadd(3, first + c * chunk_tiles * kTile, kTileBytes);
      _tile_loadd(4, second + c * chunk_tiles * kTile, kTileBytes);
      _tile_dpbf16ps(0, 2, 3);
      _tile_dpbf16ps(1, 2, 4);
    }
    _tile_stored(0, to + b * kRows, to_bytes);
    _tile_stored(1, to + (b + 1) * kRows, to_bytes);
  }
  if (b == blocks) return;
  _tile_zero(0);
  for (int64_t c = 0; c < chunks; ++c) {
    _tile_loadd(2, rows.data + c * kDepth, row_bytes);
    _tile_loadd(3, tiles + (b * block_tiles + c * chunk_tiles) * kTile, kTileBytes);
    _tile_dpbf16ps(0, 2, 3);
  }
  _tile_stored(0, to + b * kRows, to_bytes);
}

// Divides one piece of scratch memory into arrays, each aligned to 64 bytes.
class Pieces {
 public:
  static constexpr int64_t kAlignment = 64;

  explicit Pieces(std::byte* data) : data_(data) {}
  template <class T>
  static int64_t size(int64_t count) {
    return round_up(count * static_cast<int64_t>(sizeof(T)), kAlignment);
  }
  template <class T>
  T* take(int64_t count) {
    T* piece = reinterpret_cast<T*>(data_);
    data_ += size<T>(count);
    return piece;
  }

 private:
  std::byte* data_;
};

}  // namespace combiner::HWY_NAMESPACE::amx
HWY_AFTER_NAMESPACE();
#endif

#endif  // per-target include guard
