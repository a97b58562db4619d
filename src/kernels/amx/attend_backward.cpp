// The gradient of attention in bfloat16 with AMX (kernels/amx/tiles.h).

#include <algorithm>

#include "kernels/amx/amx.h"
#include "kernels/amx/tiles.h"
#include "kernels/attend.h"
#include "kernels/portable/portable.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/amx/attend_backward.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/amx/attend-inl.h"
#include "kernels/portable/simd-inl.h"

#if COMBINER_AVX512_TARGET
HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE::amx {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

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

}  // namespace
}  // namespace combiner::HWY_NAMESPACE::amx
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE && COMBINER_AVX512_KERNELS
namespace combiner::amx {

void attend_backward(const AttentionTile<bfloat16>& tile, const AttentionOutputGradient& output,
                     const AttentionGradient& gradient, Scratch& scratch) {
  if (tile.queries <= 1 || tile.visible_keys() == 0)
    return portable::attend_backward(tile, output, gradient, scratch);
  using namespace N_AVX3::amx;
  AttendBackward<1>(tile, {output}, TargetsOf(gradient), scratch);
}

void attend_causal_and_full_backward(const AttentionTile<bfloat16>& tile,
                                     const AttentionOutputGradient& output,
                                     const AttentionOutputGradient& whole,
                                     const RoundedAttentionGradient<bfloat16>& gradient,
                                     Scratch& scratch) {
  if (tile.queries <= 1 || tile.keys == 0 || tile.visible_keys() != tile.keys)
    return portable::attend_causal_and_full_backward(tile, output, whole, gradient, scratch);
  using namespace N_AVX3::amx;
  AttendBackward<2>(tile, {output, whole}, TargetsOf(gradient), scratch);
}

}  // namespace combiner::amx
#endif
