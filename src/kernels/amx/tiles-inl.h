// Conversion of bfloat16 matrices to the layouts that AMX tiles need (kernels/amx/tiles.h).

#if defined(COMBINER_KERNELS_AMX_TILES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef COMBINER_KERNELS_AMX_TILES_INL_H_
#undef COMBINER_KERNELS_AMX_TILES_INL_H_
#else
#define COMBINER_KERNELS_AMX_TILES_INL_H_
#endif

#include "hwy/highway.h"
#include "kernels/amx/tiles.h"

#if COMBINER_AVX512_TARGET

#include <immintrin.h>

#include <algorithm>

#include "tensor/bfloat16.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE::amx {
namespace hn = hwy::HWY_NAMESPACE;

using Words = hn::FixedTag<uint16_t, 32>;
using Pairs = hn::FixedTag<uint32_t, 16>;  // pairs of bfloat16

constexpr int64_t kRows = kTileRows;           // rows per tile, and columns of 32 bits
constexpr int64_t kDepth = kTileBytes / 2;     // bfloat16 per row of a tile
constexpr int64_t kTile = kTileRows * kDepth;  // bfloat16 per tile

// Mask of the first `count` lanes, empty if `count` is negative.
HWY_INLINE hn::Mask<hn::FixedTag<float, 16>> FirstLanes(int64_t count) {
  return hn::FirstN(hn::FixedTag<float, 16>(), static_cast<size_t>(std::max<int64_t>(count, 0)));
}

// Loads 128 bits of each of four rows into one vector, in this order.
HWY_INLINE hn::Vec<Pairs> FourBlocks(const bfloat16* a, const bfloat16* b, const bfloat16* c,
                                     const bfloat16* e) {
  const auto load = [](const bfloat16* from) HWY_ATTR {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
  };
  __m512i v = _mm512_castsi128_si512(load(a));
  v = _mm512_inserti32x4(v, load(b), 1);
  v = _mm512_inserti32x4(v, load(c), 2);
  v = _mm512_inserti32x4(v, load(e), 3);
  return hn::Vec<Pairs>{v};
}

// Function objects that return the address of row i. With SomeRows, indices from `rows` on give the
// last row.
struct WholeRows {
  const bfloat16* data;
  int64_t stride;
  HWY_INLINE const bfloat16* operator()(int64_t i) const { return data + i * stride; }
};
struct SomeRows {
  const bfloat16* data;
  int64_t stride, rows;
  HWY_INLINE const bfloat16* operator()(int64_t i) const {
    return data + std::min(i, rows - 1) * stride;
  }
};

template <class RowAt>
HWY_INLINE void TransposePairsOf(const RowAt& row, bfloat16* HWY_RESTRICT to, int64_t to_stride) {
  const Pairs d;
  const hn::Repartition<uint64_t, Pairs> wide;
  const auto store = [&](auto v, int64_t at) HWY_ATTR {
    hn::StoreU(hn::BitCast(d, v), d, reinterpret_cast<uint32_t*>(to + at * to_stride));
  };
  // Transposes 4 x 4 pairs in each block of 128 bits.
  HWY_UNROLL(4)
  for (int64_t c = 0; c < 4; ++c) {
    const auto blocks = [&](int64_t i) HWY_ATTR {
      return FourBlocks(row(i) + 8 * c, row(i + 4) + 8 * c, row(i + 8) + 8 * c,
                        row(i + 12) + 8 * c);
    };
    const auto v0 = blocks(0), v1 = blocks(1), v2 = blocks(2), v3 = blocks(3);
    const auto low01 = hn::BitCast(wide, hn::InterleaveLower(d, v0, v1));
    const auto high01 = hn::BitCast(wide, hn::InterleaveUpper(d, v0, v1));
    const auto low23 = hn::BitCast(wide, hn::InterleaveLower(d, v2, v3));
    const auto high23 = hn::BitCast(wide, hn::InterleaveUpper(d, v2, v3));
    store(hn::InterleaveLower(wide, low01, low23), 4 * c);
    store(hn::InterleaveUpper(wide, low01, low23), 4 * c + 1);
    store(hn::InterleaveLower(wide, high01, high23), 4 * c + 2);
    store(hn::InterleaveUpper(wide, high01, high23), 4 * c + 3);
  }
}
// Transposes 16 rows of 16 pairs of features: [16, 16, 2] to [16, 16, 2].
HWY_INLINE void TransposePairs(const bfloat16* from, int64_t stride, int64_t rows,
                               bfloat16* HWY_RESTRICT to, int64_t to_stride = kDepth) {
  if (rows >= kRows)
    TransposePairsOf(WholeRows{from, stride}, to, to_stride);
  else
    TransposePairsOf(SomeRows{from, stride, rows}, to, to_stride);
}

// load(i) returns the 64 bytes of row i.
template <class Load>
HWY_INLINE void InterleaveRowsOf(const Load& load, bfloat16* HWY_RESTRICT first,
                                 bfloat16* HWY_RESTRICT second) {
  const Words d;
  const __m512i order = _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7);
  // Block i of 128 bits holds features 4 i to 4 i + 3 and 16 + 4 i to 16 + 4 i + 3.
  const auto ordered = [&](int64_t i) HWY_ATTR {
    return hn::Vec<Words>{_mm512_permutexvar_epi64(order, load(i))};
  };
  const auto store = [&](auto v, bfloat16* to)
                         HWY_ATTR { hn::StoreU(v, d, reinterpret_cast<uint16_t*>(to)); };
  for (int64_t k = 0; k < kRows; ++k) {
    const auto even = ordered(2 * k), odd = ordered(2 * k + 1);
    store(hn::InterleaveLower(d, even, odd), first + k * kDepth);
    store(hn::InterleaveUpper(d, even, odd), second + k * kDepth);
  }
}
// Interleaves pairs of rows: 32 rows of 32 features become two tiles [16, 16, 2], one with the
// first 16 features and one with the others.
HWY_INLINE void InterleaveRows(const bfloat16* from, int64_t stride, int64_t rows,
                               bfloat16* HWY_RESTRICT to) {
  const auto interleave = [&](const auto& row) HWY_ATTR {
    InterleaveRowsOf([&](int64_t i) HWY_ATTR { return _mm512_loadu_si512(row(i)); }, to,
                     to + kTile);
  };
  if (rows >= kDepth)
    interleave(WholeRows{from, stride});
  else
    interleave(SomeRows{from, stride, rows});
}

}  // namespace combiner::HWY_NAMESPACE::amx
HWY_AFTER_NAMESPACE();
#endif

#endif  // per-target include guard
