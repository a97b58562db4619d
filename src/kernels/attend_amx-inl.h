// Attention in bfloat16 with AMX (kernels/amx.h). Products of queries, keys and values use tiles;
// the steps between them use vectors of 16 floats.

#if defined(COMBINER_KERNELS_ATTEND_AMX_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef COMBINER_KERNELS_ATTEND_AMX_INL_H_
#undef COMBINER_KERNELS_ATTEND_AMX_INL_H_
#else
#define COMBINER_KERNELS_ATTEND_AMX_INL_H_
#endif

#include "hwy/contrib/math/math-inl.h"
#include "hwy/highway.h"
#include "kernels/amx.h"
#include "kernels/simd-inl.h"
#include "kernels/tiles_amx-inl.h"

#if HWY_TARGET == HWY_AVX3 && COMBINER_HAS_AMX

#include <immintrin.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/round_up.h"
#include "kernels/attend.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE::amx {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::FixedTag<float, 16>;
using V = hn::Vec<D>;
using Counts = hn::FixedTag<int32_t, 16>;

// Mask of the first `count` lanes, empty if `count` is negative.
HWY_INLINE hn::Mask<D> FirstLanes(int64_t count) {
  return hn::FirstN(D(), static_cast<size_t>(std::max<int64_t>(count, 0)));
}

// Configures all eight tile registers with their full shape for its lifetime.
class Tiles {
 public:
  COMBINER_AMX Tiles() {
    TileShapes shapes;
    for (int tile = 0; tile < 8; ++tile) shapes.set(tile, kTileRows);
    finish_stores_for_tiles();
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

// Lane i of the result is the sum of the lanes of v[i].
HWY_INLINE V SumsOfLanes(const float (&v)[kRows][kRows]) {
  const D d;
  const hn::Repartition<double, D> wide;
  // Block b (four lanes) of fours[i] holds the sums of block b of v[4 i] to v[4 i + 3].
  V fours[4];
  HWY_UNROLL(4)
  for (int64_t i = 0; i < 4; ++i) {
    const V a = hn::Load(d, v[4 * i]), b = hn::Load(d, v[4 * i + 1]);
    const V c = hn::Load(d, v[4 * i + 2]), e = hn::Load(d, v[4 * i + 3]);
    const auto ab =
        hn::BitCast(wide, hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b)));
    const auto ce =
        hn::BitCast(wide, hn::Add(hn::InterleaveLower(d, c, e), hn::InterleaveUpper(d, c, e)));
    fours[i] = hn::Add(hn::BitCast(d, hn::InterleaveLower(wide, ab, ce)),
                       hn::BitCast(d, hn::InterleaveUpper(wide, ab, ce)));
  }
  const auto fold = [](V a, V b) HWY_ATTR {
    return V{_mm512_add_ps(_mm512_shuffle_f32x4(a.raw, b.raw, 0x88),
                           _mm512_shuffle_f32x4(a.raw, b.raw, 0xdd))};
  };
  return fold(fold(fours[0], fours[1]), fold(fours[2], fours[3]));
}

// Computes probabilities that are rounded to bfloat16 and not yet divided by their sum.
struct Exponent {
  V factor;  // e^(logit scale) = 2^(logit factor)
  hn::Vec<Counts> first = hn::Iota(Counts(), 0), second = hn::Iota(Counts(), 16);

  // p[j] = e^((logit[j] - shift) scale) for the first `visible` of `columns` keys, then zeros up to
  // the next multiple of 32. Returns a vector whose lanes add up to the sum of p.
  template <bool kShifted, bool kMasked>
  COMBINER_AMX HWY_INLINE V Row(const float* HWY_RESTRICT logit, int64_t columns, int32_t visible,
                                float shift, bfloat16* HWY_RESTRICT p) const {
    const D d;
    const Counts di;
    const __m512bh ones = (__m512bh)_mm512_set1_epi16(0x3f80);
    V sum = hn::Zero(d);
    auto count = hn::Set(di, visible);
    for (int64_t j = 0; j < columns; j += kDepth, count = hn::Sub(count, hn::Set(di, kDepth))) {
      V e[2] = {hn::Zero(d), hn::Zero(d)};
      HWY_UNROLL(2)
      for (int64_t half = 0; half < 2; ++half) {
        const int64_t at = j + half * kRows;
        if (at == columns) break;
        V x = hn::Load(d, logit + at);
        if constexpr (kShifted) x = hn::Sub(x, hn::Set(d, shift));
        if constexpr (kMasked) {
          const auto seen = hn::Lt(half == 0 ? first : second, count);
          x = hn::IfThenElse(hn::RebindMask(d, seen), x, hn::Set(d, -HUGE_VALF));
        }
        e[half] = PowerOfTwoCoarse(d, hn::Mul(x, factor));
      }
      const __m512bh pairs = _mm512_cvtne2ps_pbh(e[1].raw, e[0].raw);
      _mm512_store_si512(p + j, (__m512i)pairs);
      // Sum the rounded numbers, which the product with the values reads, so that a query's weights
      // sum to one.
      sum = V{_mm512_dpbf16_ps(sum.raw, pairs, ones)};
    }
    return sum;
  }
};

// A block of up to 16 queries (rows of a tile), and how many keys each of them sees.
struct Block {
  int64_t first, queries;
  int64_t columns;         // keys that any query sees, rounded up to a multiple of 16
  int64_t padded_columns;  // the same, rounded up to a multiple of 32
  const int32_t* visible;  // [16], one count per query
  bool masked;             // whether some query sees fewer than `columns`
};

// Factors of the new mean and of the old output, for each query of a block.
struct Weights {
  alignas(64) float mean[kRows], old[kRows];
};

// Converts sums and shifts to log-sum-exps, merges these with `lse` if asked to, and stores them.
// Returns the factors by which to multiply the new mean and the old output.
COMBINER_AMX HWY_INLINE Weights MergeBlock(V sum, V shift, float scale, Merge merge,
                                           int64_t queries, float* lse, int64_t lse_stride) {
  const D d;
  alignas(64) float in_order[kRows];
  const auto sees = hn::Gt(sum, hn::Zero(d));
  const V none = hn::Set(d, -HUGE_VALF);
  const V one = hn::Set(d, 1.0f);
  const V safe_sum = hn::IfThenElse(sees, sum, one);
  const V own =
      hn::IfThenElse(sees, hn::MulAdd(shift, hn::Set(d, scale), hn::Log(d, safe_sum)), none);
  V mean = hn::IfThenElseZero(sees, hn::Div(one, safe_sum));
  V merged = own, old_weight = hn::Zero(d);
  if (merge == Merge::merge) {
    // A gather, because collecting these numbers in memory with scalar stores and then loading them
    // as one vector would stall until all earlier stores complete.
    const auto at =
        hn::Mul(hn::Iota(Counts(), 0), hn::Set(Counts(), static_cast<int32_t>(lse_stride)));
    const V old{
        _mm512_mask_i32gather_ps(none.raw, FirstLanes(queries).raw, at.raw, lse, sizeof(float))};
    const V high = hn::Max(old, own);
    // If neither side has any keys, the exponentials are NaN, and are not used.
    const V e_old = FastExp(d, hn::Sub(old, high)), e_own = FastExp(d, hn::Sub(own, high));
    const V total = hn::Add(e_old, e_own);
    const auto some = hn::Gt(high, none);
    merged = hn::IfThenElse(some, hn::Add(high, hn::Log(d, total)), none);
    const V part = hn::Div(one, total);
    mean = hn::IfThenElseZero(some, hn::Mul(mean, hn::Mul(e_own, part)));
    old_weight = hn::IfThenElseZero(some, hn::Mul(e_old, part));
  }
  hn::Store(merged, d, in_order);
  for (int64_t i = 0; i < queries; ++i) lse[i * lse_stride] = in_order[i];
  Weights weights;
  hn::Store(mean, d, weights.mean);
  hn::Store(old_weight, d, weights.old);
  return weights;
}

// out = mean * weights.mean + out * weights.old, and the same rounded. With kOnlyRounded, `out` is
// not written.
template <bool kOnlyRounded>
COMBINER_AMX void MergeRows(const float* HWY_RESTRICT mean, int64_t mean_stride,
                            const Weights& weights, int64_t queries, int64_t width, float* out,
                            int64_t out_stride, bfloat16* rounded, int64_t rounded_stride) {
  const D d;
  for (int64_t at = 0; at < width; at += kDepth) {
    const int64_t count = std::min(width - at, kDepth);
    const hn::Mask<D> in[2] = {FirstLanes(count), FirstLanes(count - kRows)};
    const __mmask32 both = _bzhi_u32(~0u, static_cast<unsigned>(count));
    for (int64_t i = 0; i < queries; ++i) {
      const V w = hn::Set(d, weights.mean[i]);
      const V old = hn::Set(d, weights.old[i]);
      float* to = out + i * out_stride + at;
      V v[2];
      HWY_UNROLL(2)
      for (int64_t half = 0; half < 2; ++half) {
        v[half] = hn::Mul(hn::Load(d, mean + i * mean_stride + at + half * kRows), w);
        // If its factor is zero, the old output may be uninitialised.
        if (weights.old[i] != 0.0f)
          v[half] = hn::MulAdd(hn::MaskedLoad(in[half], d, to + half * kRows), old, v[half]);
        if constexpr (!kOnlyRounded) hn::BlendedStore(v[half], in[half], d, to + half * kRows);
      }
      _mm512_mask_storeu_epi16(rounded + i * rounded_stride + at, both,
                               (__m512i)_mm512_cvtne2ps_pbh(v[1].raw, v[0].raw));
    }
  }
}

// If a sum of exponentials lies between these bounds, float can represent each of its terms, except
// those too small to matter.
constexpr float kLeastSum = 0x1p-80f;
constexpr float kLargestSum = 0x1p80f;

// Mask of the queries that see at least one key and whose sum is outside those bounds.
HWY_INLINE hn::Mask<D> OutOfBounds(const Block& block, V sum) {
  const D d;
  const Counts di;
  const auto sees = hn::RebindMask(d, hn::Gt(hn::Load(di, block.visible), hn::Zero(di)));
  const auto within =
      hn::And(hn::Ge(sum, hn::Set(d, kLeastSum)), hn::Le(sum, hn::Set(d, kLargestSum)));
  return hn::AndNot(within, sees);
}

// Converts the logits of a block to probabilities, not yet divided by their sums, and returns the
// sums. Subtracting the same number from all logits of a query does not change its softmax. That
// number, returned in `shift`, is 0 unless the sum would be out of bounds; then it is the query's
// largest logit.
template <bool kMasked>
COMBINER_AMX HWY_INLINE V Probabilities(const Exponent& exponent, const Block& block,
                                        const float* logits, bfloat16* p, V& shift) {
  const D d;
  const Counts di;
  alignas(64) float sums[kRows][kRows];  // rows past block.queries are not used
  const auto row = [&](int64_t i) { return logits + i * block.columns; };
  for (int64_t i = 0; i < block.queries; ++i)
    hn::Store(exponent.Row<false, kMasked>(row(i), block.columns, block.visible[i], 0.0f,
                                           p + i * block.padded_columns),
              d, sums[i]);
  V sum = SumsOfLanes(sums);
  shift = hn::Zero(d);
  const auto out = OutOfBounds(block, sum);
  if (HWY_LIKELY(hn::AllFalse(d, out))) return sum;
  alignas(64) float shifts[kRows] = {};
  for (int64_t i = 0; i < block.queries; ++i) {
    if (!(out.raw >> i & 1)) continue;
    shifts[i] = *std::max_element(row(i), row(i) + block.visible[i]);
    hn::Store(exponent.Row<true, true>(row(i), block.columns, block.visible[i], shifts[i],
                                       p + i * block.padded_columns),
              d, sums[i]);
  }
  shift = hn::Load(d, shifts);
  return SumsOfLanes(sums);
}

COMBINER_AMX HWY_INLINE V Probabilities(const Exponent& exponent, const Block& block,
                                        const float* logits, bfloat16* p, V& shift) {
  return block.masked ? Probabilities<true>(exponent, block, logits, p, shift)
                      : Probabilities<false>(exponent, block, logits, p, shift);
}

// Restricts the probabilities in `p`, which must have been computed without a shift, to the keys
// that are visible in `block`: all others become 0. Returns the sums, which may be out of bounds.
COMBINER_AMX HWY_INLINE V SomeProbabilities(const Block& block, bfloat16* p) {
  const D d;
  const __m512bh ones = (__m512bh)_mm512_set1_epi16(0x3f80);
  alignas(64) float sums[kRows][kRows];  // rows past block.queries are not used
  for (int64_t i = 0; i < block.queries; ++i, p += block.padded_columns) {
    V sum = hn::Zero(d);
    for (int64_t j = 0; j < block.padded_columns; j += kDepth) {
      const auto seen = std::clamp<int64_t>(block.visible[i] - j, 0, kDepth);
      const __m512i pairs =
          _mm512_maskz_loadu_epi16(_bzhi_u32(~0u, static_cast<unsigned>(seen)), p + j);
      _mm512_store_si512(p + j, pairs);
      sum = V{_mm512_dpbf16_ps(sum.raw, (__m512bh)pairs, ones)};
    }
    hn::Store(sum, d, sums[i]);
  }
  return SumsOfLanes(sums);
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

// Attention of one tile. If `whole` is not null, it receives the queries' attention to all keys,
// from the same products with the keys and the same exponentials. In that case at least one query
// must see the last key.
inline COMBINER_AMX void Attend(const AttentionTile<bfloat16>& tile,
                                const AttentionOutput<bfloat16>& output, Merge merge,
                                Scratch& scratch,
                                const AttentionOutput<bfloat16>* whole = nullptr) {
  const int64_t keys = tile.visible_keys();
  const int64_t columns = round_up(keys, kDepth);
  const int64_t width = tile.head_dim;
  const int64_t padded = round_up(width, kDepth);
  const int64_t chunks = padded / kDepth;
  const int64_t blocks = (tile.queries + kRows - 1) / kRows;

  Pieces pieces(scratch.reserve<std::byte>(static_cast<size_t>(
      3 * Pieces::size<bfloat16>(columns * padded) + Pieces::size<bfloat16>(kRows * padded) +
      Pieces::size<bfloat16>(kRows * columns) + Pieces::size<float>(kRows * columns) +
      Pieces::size<float>(kRows * padded) + Pieces::size<int32_t>(kRows * blocks))));
  bfloat16* key_tiles = pieces.take<bfloat16>(columns * padded);    // [16 keys][32 features]
  bfloat16* value_tiles = pieces.take<bfloat16>(columns * padded);  // [32 keys][16 features]
  bfloat16* copy = pieces.take<bfloat16>(columns * padded);
  bfloat16* query_copy = pieces.take<bfloat16>(kRows * padded);
  bfloat16* p = pieces.take<bfloat16>(kRows * columns);
  float* logits = pieces.take<float>(kRows * columns);
  float* mean = pieces.take<float>(kRows * padded);
  int32_t* visible = pieces.take<int32_t>(kRows * blocks);
  for (int64_t i = 0; i < kRows * blocks; ++i)
    visible[i] = i < tile.queries ? static_cast<int32_t>(tile.visible.of(keys, i)) : 0;

  const Exponent exponent{hn::Set(D(), tile.scale * kLog2E)};
  const Tiles tiles;
  for (int64_t h = 0; h < tile.heads; ++h) {
    TransposeTiles(Padded({tile.key + h * width, tile.key_stride}, keys, width, padded, copy), keys,
                   padded, key_tiles);
    InterleaveTiles(Padded({tile.value + h * width, tile.value_stride}, keys, width, padded, copy),
                    keys, padded, value_tiles);
    for (int64_t first = 0; first < tile.queries; first += kRows) {
      Block block{first, std::min(kRows, tile.queries - first), 0, 0, visible + first, false};
      const int64_t seen = whole ? keys : block.visible[block.queries - 1];
      block.columns = round_up(seen, kRows);
      block.padded_columns = round_up(seen, kDepth);
      block.masked = block.visible[0] < block.columns;
      Rows query{tile.query + first * tile.query_stride + h * width, tile.query_stride};
      if (block.queries < kRows || width < padded)
        query = Copied(query, block.queries, width, padded, query_copy);
      MultiplyTiles(query, key_tiles, block.columns / kRows, chunks, chunks, 1, logits,
                    block.columns);
      const auto finish = [&](const AttentionOutput<bfloat16>& to, Merge how, V sum,
                              V shift) COMBINER_AMX {
        MultiplyTiles({p, block.padded_columns}, value_tiles, padded / kRows, 1,
                      block.padded_columns / kDepth, padded / kRows, mean, padded);
        const Weights weights = MergeBlock(sum, shift, tile.scale, how, block.queries,
                                           to.lse + first * to.lse_stride + h, to.lse_stride);
        const auto merge_rows = to.only_rounded ? MergeRows<true> : MergeRows<false>;
        merge_rows(mean, padded, weights, block.queries, width,
                   to.out + first * to.out_stride + h * width, to.out_stride,
                   to.rounded + first * to.rounded_stride + h * width, to.rounded_stride);
      };
      V shift;
      if (!whole) {
        const V sum = Probabilities(exponent, block, logits, p, shift);
        finish(output, merge, sum, shift);
        continue;
      }
      alignas(64) int32_t all[kRows] = {};
      std::fill_n(all, block.queries, static_cast<int32_t>(keys));
      Block all_keys = block;
      all_keys.visible = all;
      all_keys.masked = keys < block.columns;
      V sum = Probabilities(exponent, all_keys, logits, p, shift);
      finish(*whole, Merge::replace, sum, shift);
      const bool shifted = !hn::AllTrue(D(), hn::Eq(shift, hn::Zero(D())));
      if (!shifted) sum = SomeProbabilities(block, p);
      if (shifted || !hn::AllFalse(D(), OutOfBounds(block, sum)))
        sum = Probabilities(exponent, block, logits, p, shift);
      finish(output, merge, sum, shift);
    }
  }
}

// Prefetches whole rows, which the heads will then read piece by piece. The hardware prefetcher
// alone would see too many streams with too few cache lines each. Always inlined: to compilers, a
// function that only prefetches has no effect, and they remove calls to it.
template <class T>
HWY_INLINE void FetchRows(const T* from, int64_t stride, int64_t rows, int64_t width) {
  constexpr int64_t kLine = kTileBytes / static_cast<int64_t>(sizeof(T));
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < width; j += kLine) _mm_prefetch(from + i * stride + j, _MM_HINT_T1);
}

// to = from, in rows of `padded` elements with zeros from `width` on.
COMBINER_AMX HWY_INLINE Rows Rounded(const float* from, int64_t from_stride, int64_t rows,
                                     int64_t width, int64_t padded, bfloat16* HWY_RESTRICT to) {
  const D d;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t at = 0; at < padded; at += kDepth) {
      const auto part = [&](int64_t first) HWY_ATTR {
        return hn::MaskedLoad(FirstLanes(width - first), d, from + i * from_stride + first);
      };
      _mm512_storeu_si512(to + i * padded + at,
                          (__m512i)_mm512_cvtne2ps_pbh(part(at + kRows).raw, part(at).raw));
    }
  return {to, padded};
}

// Destination of a gradient. Without `rounded`, the gradient is added to `sums`. With `rounded`,
// the rounded gradient is stored there; if `adds` is true, `sums` holds the contributions of other
// parts, and these are added before rounding.
struct GradientTarget {
  float* sums;
  int64_t sums_stride;
  bfloat16* rounded = nullptr;
  int64_t rounded_stride = 0;
  bool adds = true;

  GradientTarget at(int64_t row, int64_t column) const {
    GradientTarget target = *this;
    target.sums += row * sums_stride + column;
    if (rounded) target.rounded += row * rounded_stride + column;
    return target;
  }
};
struct GradientTargets {
  GradientTarget query, key, value;
};
inline GradientTargets TargetsOf(const AttentionGradient& to) {
  return {{to.query, to.query_stride}, {to.key, to.key_stride}, {to.value, to.value_stride}};
}
inline GradientTargets TargetsOf(const RoundedAttentionGradient<bfloat16>& to) {
  const GradientTargets sums = TargetsOf(to.sums);
  return {{sums.query.sums, sums.query.sums_stride, to.query, to.query_stride, true},
          {sums.key.sums, sums.key.sums_stride, to.key, to.key_stride, false},
          {sums.value.sums, sums.value.sums_stride, to.value, to.value_stride, false}};
}

// Adds scale * from to the sums of the target, or stores it in its rounded array.
COMBINER_AMX HWY_INLINE void StoreGradientRows(const float* HWY_RESTRICT from, int64_t from_stride,
                                               float scale, int64_t rows, int64_t width,
                                               const GradientTarget& target) {
  const D d;
  if (!target.rounded) {
    for (int64_t i = 0; i < rows; ++i) {
      float* to = target.sums + i * target.sums_stride;
      WeightedSum(from + i * from_stride, scale, to, 1.0f, width, to);
    }
    return;
  }
  for (int64_t at = 0; at < width; at += kDepth) {
    const int64_t count = std::min(width - at, kDepth);
    const __mmask32 both = _bzhi_u32(~0u, static_cast<unsigned>(count));
    for (int64_t i = 0; i < rows; ++i) {
      const float* sums = target.sums + i * target.sums_stride + at;
      const auto part = [&](int64_t first) HWY_ATTR {
        const V v = hn::Mul(hn::Load(d, from + i * from_stride + at + first), hn::Set(d, scale));
        return target.adds ? hn::Add(v, hn::MaskedLoad(FirstLanes(count - first), d, sums + first))
                           : v;
      };
      _mm512_mask_storeu_epi16(target.rounded + i * target.rounded_stride + at, both,
                               (__m512i)_mm512_cvtne2ps_pbh(part(kRows).raw, part(0).raw));
    }
  }
}

// For one of the outputs, the data of 32 queries, in two halves of 16.
struct QueryChunk {
  hn::Vec<D> lse[2], delta[2];
  hn::Vec<Counts> visible[2];
  int32_t max_visible[2];  // the most keys that any query of the half sees

  // Loads the 32 queries from `first` on. seen[i] is the number of keys visible to query i.
  COMBINER_AMX HWY_INLINE void Load(const AttentionOutputGradient& output, int64_t head,
                                    int64_t first, const int32_t* seen) {
    const Counts di;
    for (int64_t half = 0; half < 2; ++half) {
      const int64_t at = first + half * kRows;
      visible[half] = hn::Load(di, seen + at);
      max_visible[half] = hn::GetLane(hn::MaxOfLanes(di, visible[half]));
      // A query that sees no key has no finite lse.
      const auto sees = hn::RebindMask(D(), hn::Gt(visible[half], hn::Zero(di)));
      // A gather, because collecting these numbers in memory with scalar stores and then loading
      // them as one vector would stall until all earlier stores complete.
      const auto gather = [&](const float* from, int64_t stride) COMBINER_AMX {
        const auto each = hn::Mul(hn::Iota(di, 0), hn::Set(di, static_cast<int32_t>(stride)));
        return V{_mm512_mask_i32gather_ps(_mm512_setzero_ps(), sees.raw, each.raw,
                                          from + at * stride + head, sizeof(float))};
      };
      lse[half] = gather(output.lse, output.lse_stride);
      delta[half] = gather(output.delta, output.delta_stride);
    }
  }
};

// Computes, for 16 keys from `first` on and 32 queries, the probabilities in each output, [16, 32]
// with row stride `p_stride` and outputs `p_step` apart, and the gradient of the logits, [16, 32]
// with row stride `stride`. Both are rounded. `products`, [16, 32] for each output, holds the dot
// products of values and d_out.
template <int kOutputs>
COMBINER_AMX HWY_INLINE void KeyGradients(const QueryChunk* queries, int32_t first, float scale,
                                          const float* HWY_RESTRICT logits,
                                          const float* HWY_RESTRICT products,
                                          bfloat16* HWY_RESTRICT p, int64_t p_stride,
                                          int64_t p_step, bfloat16* HWY_RESTRICT d_logit,
                                          int64_t stride) {
  const D d;
  const Counts di;
  const V s = hn::Set(d, scale);
  for (int32_t j = 0; j < kRows; ++j) {
    V dj[2] = {hn::Zero(d), hn::Zero(d)};
    HWY_UNROLL(2)
    for (int64_t o = 0; o < kOutputs; ++o) {
      const QueryChunk& chunk = queries[o];
      V pj[2] = {hn::Zero(d), hn::Zero(d)};
      HWY_UNROLL(2)
      for (int64_t half = 0; half < 2; ++half) {
        if (chunk.max_visible[half] <= first) continue;
        const int64_t at = j * kDepth + half * kRows;
        const auto seen = hn::RebindMask(d, hn::Gt(chunk.visible[half], hn::Set(di, first + j)));
        const V x = hn::MulSub(hn::Load(d, logits + at), s, chunk.lse[half]);
        const V product =
            hn::Sub(hn::Load(d, products + o * kRows * kDepth + at), chunk.delta[half]);
        // Where a key is not visible, x and product may be anything.
        pj[half] = hn::IfThenElseZero(seen, FastExpCoarse(d, x));
        dj[half] = hn::Add(dj[half], hn::IfThenElseZero(seen, hn::Mul(pj[half], product)));
      }
      _mm512_store_si512(p + j * p_stride + o * p_step,
                         (__m512i)_mm512_cvtne2ps_pbh(pj[1].raw, pj[0].raw));
    }
    _mm512_store_si512(d_logit + j * stride, (__m512i)_mm512_cvtne2ps_pbh(dj[1].raw, dj[0].raw));
  }
}

// Backward pass of one output, or of two. In the second output each query sees all keys; in the
// first at least one query sees the last key. Logits and other arrays with one number for each pair
// of query and key have a row for each key, so that sums over queries need no transpose.
template <int kOutputs>
COMBINER_AMX void AttendBackward(const AttentionTile<bfloat16>& tile,
                                 const AttentionOutputGradient (&outputs)[kOutputs],
                                 const GradientTargets& targets, Scratch& scratch) {
  const int64_t keys = tile.visible_keys();
  const int64_t columns = round_up(keys, kDepth);
  const int64_t rows = round_up(tile.queries, kDepth);
  const int64_t width = tile.head_dim;
  const int64_t padded = round_up(width, kDepth);
  const int64_t blocks = padded / kRows;
  const int64_t chunks = padded / kDepth;
  constexpr int64_t kSize = kRows * kDepth;

  Pieces pieces(scratch.reserve<std::byte>(static_cast<size_t>(
      4 * Pieces::size<bfloat16>(rows * padded) +
      2 * Pieces::size<bfloat16>(kOutputs * rows * padded) +
      3 * Pieces::size<bfloat16>(columns * padded) +
      Pieces::size<bfloat16>(kOutputs * rows * columns) + Pieces::size<bfloat16>(rows * columns) +
      Pieces::size<bfloat16>(kDepth * columns) + Pieces::size<bfloat16>(2 * kTile) +
      Pieces::size<float>(kSize) + Pieces::size<float>(kOutputs * kSize) +
      Pieces::size<float>(kRows * padded) + Pieces::size<int32_t>(kOutputs * rows))));
  const auto take_tiles = [&](int64_t n) { return pieces.take<bfloat16>(n * padded); };
  bfloat16* query_copy = take_tiles(rows);
  bfloat16* query_across = take_tiles(rows);  // tiles of the transpose
  bfloat16* query_tiles = take_tiles(rows);
  bfloat16* d_out_copy = take_tiles(rows);
  bfloat16* d_out_across = take_tiles(kOutputs * rows);  // one set per output
  bfloat16* d_out_tiles = take_tiles(kOutputs * rows);
  bfloat16* key_copy = take_tiles(columns);
  bfloat16* key_tiles = take_tiles(columns);
  bfloat16* value_copy = take_tiles(columns);
  const int64_t p_stride = kOutputs * rows;
  bfloat16* p = pieces.take<bfloat16>(p_stride * columns);            // [keys, outputs, queries]
  bfloat16* d_logit = pieces.take<bfloat16>(rows * columns);          // [keys, queries]
  bfloat16* d_query_logit = pieces.take<bfloat16>(kDepth * columns);  // [32 queries, keys]
  bfloat16* pairs = pieces.take<bfloat16>(2 * kTile);
  float* logits = pieces.take<float>(kSize);
  float* products = pieces.take<float>(kOutputs * kSize);
  float* sum = pieces.take<float>(kRows * padded);
  int32_t* visible = pieces.take<int32_t>(kOutputs * rows);
  for (int64_t o = 0; o < kOutputs; ++o)
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t seen = o == 0 ? tile.visible.of(keys, i) : keys;
      visible[o * rows + i] = i < tile.queries ? static_cast<int32_t>(seen) : 0;
    }

  FetchRows(tile.query, tile.query_stride, tile.queries, tile.heads * width);
  FetchRows(tile.key, tile.key_stride, keys, tile.heads * width);
  FetchRows(tile.value, tile.value_stride, keys, tile.heads * width);
  for (const AttentionOutputGradient& output : outputs)
    FetchRows(output.d_out, output.d_out_stride, tile.queries, tile.heads * width);

  const Tiles tiles;
  for (int64_t h = 0; h < tile.heads; ++h) {
    const int64_t at = h * width;
    const Rows query =
        Padded({tile.query + at, tile.query_stride}, tile.queries, width, padded, query_copy);
    TransposeTiles(query, tile.queries, padded, query_across);
    InterleaveTiles(query, tile.queries, padded, query_tiles);
    for (int64_t o = 0; o < kOutputs; ++o) {
      const Rows d_out = Rounded(outputs[o].d_out + at, outputs[o].d_out_stride, tile.queries,
                                 width, padded, d_out_copy);
      TransposeTiles(d_out, tile.queries, padded, d_out_across + o * rows * padded);
      InterleaveTiles(d_out, tile.queries, padded, d_out_tiles + o * rows * padded);
    }
    // Keys are read in whole tiles. Results for keys that no query sees are not used.
    const auto whole = [&](Rows from, bfloat16* copy) {
      return round_up(keys, kRows) <= tile.keys && width == padded
                 ? from
                 : Copied(from, keys, width, padded, copy);
    };
    const Rows key = whole({tile.key + at, tile.key_stride}, key_copy);
    const Rows value = whole({tile.value + at, tile.value_stride}, value_copy);
    InterleaveTiles(key, keys, padded, key_tiles);

    for (int64_t q = 0; q < rows; q += kDepth) {
      QueryChunk queries[kOutputs];
      for (int64_t o = 0; o < kOutputs; ++o) queries[o].Load(outputs[o], h, q, visible + o * rows);
      for (int64_t k = 0; k < columns; k += kRows) {
        // Products that no query needs are skipped: KeyGradients treats them as zero.
        const auto seen = [&](int64_t o) {
          return k < std::max(queries[o].max_visible[0], queries[o].max_visible[1]);
        };
        const auto multiply = [&](Rows from, const bfloat16* across, float* to) COMBINER_AMX {
          MultiplyTiles({from.data + k * from.stride, from.stride}, across + q * padded, 2, chunks,
                        chunks, 1, to, kDepth);
        };
        // The last output is the one that sees the most keys.
        if (seen(kOutputs - 1)) multiply(key, query_across, logits);
        for (int64_t o = 0; o < kOutputs; ++o)
          if (seen(o)) multiply(value, d_out_across + o * rows * padded, products + o * kSize);
        KeyGradients<kOutputs>(queries, static_cast<int32_t>(k), tile.scale, logits, products,
                               p + k * p_stride + q, p_stride, rows, d_logit + k * rows + q, rows);
      }

      for (int64_t k = 0; k < columns; k += kDepth) {
        InterleaveRows(d_logit + k * rows + q, rows, kDepth, pairs);
        for (int64_t half = 0; half < 2; ++half)
          TransposePairs(pairs + half * kTile, kDepth, kRows,
                         d_query_logit + half * kRows * columns + k, columns);
      }
      for (int64_t half = 0; half < 2; ++half) {
        const int64_t first = q + half * kRows;
        if (first >= tile.queries) break;
        MultiplyTiles({d_query_logit + half * kRows * columns, columns}, key_tiles, blocks, 1,
                      columns / kDepth, blocks, sum, padded);
        StoreGradientRows(sum, padded, tile.scale, std::min(kRows, tile.queries - first), width,
                          targets.query.at(first, at));
      }
    }
    for (int64_t k = 0; k < keys; k += kRows) {
      const int64_t count = std::min(kRows, keys - k);
      MultiplyTiles({d_logit + k * rows, rows}, query_tiles, blocks, 1, rows / kDepth, blocks, sum,
                    padded);
      StoreGradientRows(sum, padded, tile.scale, count, width, targets.key.at(k, at));
      MultiplyTiles({p + k * p_stride, p_stride}, d_out_tiles, blocks, 1, p_stride / kDepth, blocks,
                    sum, padded);
      StoreGradientRows(sum, padded, 1.0f, count, width, targets.value.at(k, at));
    }
  }
}

}  // namespace combiner::HWY_NAMESPACE::amx
HWY_AFTER_NAMESPACE();
#endif

#endif  // per-target include guard
