// Attention in bfloat16 with AMX (kernels/amx/tiles.h). Products of queries, keys and values use
// tiles; the steps between them use vectors of 16 floats.

#include "kernels/attend.h"

#include <algorithm>
#include <cmath>

#include "kernels/amx/amx.h"
#include "kernels/amx/tiles.h"
#include "kernels/portable/portable.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/amx/attend.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/amx/attend-inl.h"
#include "kernels/portable/simd-inl.h"

#if COMBINER_AVX512_TARGET
HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE::amx {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

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

// Attention of one tile. If `whole` is not null, it receives the queries' attention to all keys,
// from the same products with the keys and the same exponentials. In that case at least one query
// must see the last key.
COMBINER_AMX void Attend(const AttentionTile<bfloat16>& tile,
                         const AttentionOutput<bfloat16>& output, Merge merge, Scratch& scratch,
                         const AttentionOutput<bfloat16>* whole = nullptr) {
  const int64_t keys = tile.visible_keys();
  const int64_t columns = round_up(keys, kDepth);
  const int64_t width = tile.head_dim;
  const int64_t padded = round_up(width, kDepth);
  const int64_t chunks = padded / kDepth;
  const int64_t blocks = ceil_div(tile.queries, kRows);

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

}  // namespace
}  // namespace combiner::HWY_NAMESPACE::amx
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE && COMBINER_AVX512_KERNELS
namespace combiner::amx {

// Tiles have nothing to gain with a single query.

void attend(const AttentionTile<bfloat16>& tile, const AttentionOutput<bfloat16>& output,
            Merge merge, Scratch& scratch) {
  if (tile.queries <= 1 || tile.visible_keys() == 0)
    return portable::attend(tile, output, merge, scratch);
  N_AVX3::amx::Attend(tile, output, merge, scratch);
}

void attend_causal_and_full(const AttentionTile<bfloat16>& tile,
                            const AttentionOutput<bfloat16>& output,
                            const AttentionOutput<bfloat16>& whole, Scratch& scratch) {
  if (tile.queries <= 1 || tile.keys == 0 || tile.visible_keys() != tile.keys)
    return portable::attend_causal_and_full(tile, output, whole, scratch);
  N_AVX3::amx::Attend(tile, output, Merge::replace, scratch, &whole);
}

}  // namespace combiner::amx
#endif
