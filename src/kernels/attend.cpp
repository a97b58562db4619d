#include "kernels/attend.h"

#include <algorithm>
#include <cmath>

#include "base/round_up.h"
#include "kernels/attend_spans_amx.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attend.cpp"
#include "hwy/cache_control.h"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/amx.h"
#include "kernels/attend_amx-inl.h"
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Queries per block; their logits stay in the L1 cache.
constexpr int64_t kQueryBlock = 16;

HWY_INLINE int64_t RoundUp(int64_t n) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<float>()));
  return round_up(n, lanes);
}

// Converts rows of `width` elements to float, multiplies them by `scale` and pads them with zeros
// to `stride` elements.
template <class T>
void PackRows(const T* from, int64_t from_stride, int64_t rows, int64_t width, float scale,
              float* HWY_RESTRICT to, int64_t stride) {
  for (int64_t i = 0; i < rows; ++i) {
    ScaleToFloat(from + i * from_stride, width, scale, to + i * stride);
    std::fill(to + i * stride + width, to + (i + 1) * stride, 0.0f);
  }
}

// Transposes packed rows: [rows, width] with row stride `stride` to [width, columns], where
// columns >= rows. Columns from `rows` on are zero.
void TransposePacked(const float* HWY_RESTRICT from, int64_t rows, int64_t width, int64_t stride,
                     float* HWY_RESTRICT to, int64_t columns) {
  for (int64_t d = 0; d < width; ++d) {
    float* HWY_RESTRICT row = to + d * columns;
    for (int64_t j = 0; j < rows; ++j) row[j] = from[j * stride + d];
    std::fill(row + rows, row + columns, 0.0f);
  }
}

// Replaces the first `visible` elements of a row of logits by exp(logit - maximum) and the rest of
// its `columns`, which fill whole vectors, by zeros. Returns the maximum and the sum, both 0 if no
// key is visible.
struct RowSoftmax {
  float maximum, sum;
};
HWY_INLINE RowSoftmax Exponentials(float* HWY_RESTRICT row, int64_t visible, int64_t columns) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  std::fill(row + visible, row + columns, -HUGE_VALF);
  auto high = hn::Set(d, -HUGE_VALF);
  for (int64_t j = 0; j < visible; j += lanes) high = hn::Max(high, hn::Load(d, row + j));
  const float maximum = visible > 0 ? hn::GetLane(hn::MaxOfLanes(d, high)) : 0.0f;
  auto sum = hn::Zero(d);
  const auto m = hn::Set(d, maximum);
  for (int64_t j = 0; j < columns; j += lanes) {
    const auto p = FastExp(d, hn::Sub(hn::Load(d, row + j), m));
    hn::Store(p, d, row + j);
    sum = hn::Add(sum, p);
  }
  return {maximum, hn::GetLane(hn::SumOfLanes(d, sum))};
}

// Stores a query's result or merges it with the one already there. `mean` is the sum of the values
// weighted by exp(logit - maximum).
HWY_INLINE void Finish(const float* mean, RowSoftmax softmax, int64_t visible, int64_t head_dim,
                       Merge merge, float* out, float& lse) {
  if (visible == 0) {
    if (merge == Merge::replace) {
      std::fill_n(out, head_dim, 0.0f);
      lse = -HUGE_VALF;
    }
    return;
  }
  const float part_lse = softmax.maximum + std::log(softmax.sum);
  if (merge == Merge::replace || lse == -HUGE_VALF) {
    lse = part_lse;
    WeightedSum(mean, 1.0f / softmax.sum, out, 0.0f, head_dim, out);
    return;
  }
  const float high = std::max(lse, part_lse);
  const float merged = high + std::log(std::exp(lse - high) + std::exp(part_lse - high));
  const float old_weight = std::exp(lse - merged);
  lse = merged;
  WeightedSum(mean, std::exp(softmax.maximum - merged), out, old_weight, head_dim, out);
}

// Keys whose logits are computed together.
constexpr int64_t kKeyGroup = 4;

// to[i] = the sum of the lanes of v[i].
#if HWY_HAVE_SCALABLE || HWY_TARGET == HWY_SCALAR
template <class D, class V>
HWY_INLINE void StoreSumsOfLanes(D d, const V (&v)[kKeyGroup], float* to) {
  for (int64_t i = 0; i < kKeyGroup; ++i) to[i] = hn::GetLane(hn::SumOfLanes(d, v[i]));
}
#else
template <class D, class V>
HWY_INLINE void StoreFoldedBlocks(D d, V v, float* to) {
  if constexpr (hn::MaxLanes(d) <= 4) {
    hn::StoreU(v, d, to);
  } else {
    const hn::Half<D> half;
    StoreFoldedBlocks(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)), to);
  }
}
template <class D, class V>
HWY_INLINE void StoreSumsOfLanes(D d, const V (&v)[kKeyGroup], float* to) {
  // With a = v[0] and b = v[1], each block of four lanes of `low` is
  // (a0 + a2, b0 + b2, a1 + a3, b1 + b3). `high` is the same for v[2] and v[3].
  const V low = hn::Add(hn::InterleaveLower(d, v[0], v[1]), hn::InterleaveUpper(d, v[0], v[1]));
  const V high = hn::Add(hn::InterleaveLower(d, v[2], v[3]), hn::InterleaveUpper(d, v[2], v[3]));
  const hn::RepartitionToWide<D> wide;
  const auto low_pairs = hn::BitCast(wide, low);
  const auto high_pairs = hn::BitCast(wide, high);
  StoreFoldedBlocks(d,
                    hn::Add(hn::BitCast(d, hn::InterleaveLower(wide, low_pairs, high_pairs)),
                            hn::BitCast(d, hn::InterleaveUpper(wide, low_pairs, high_pairs))),
                    to);
}
#endif

// logit[h * stride + j] = query . key j for each head h. `query` is packed and scaled. Writes up to
// kKeyGroup - 1 logits past the last key. Int8 keys are read as plain integers, without their
// scales.
template <class T>
HWY_INLINE void SpanLogits(const float* HWY_RESTRICT query, int64_t heads, int64_t head_dim,
                           const KvSpan<T>& span, float* HWY_RESTRICT logit, int64_t stride) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t whole = head_dim / lanes * lanes;
  for (int64_t first = 0; first < span.keys; first += kKeyGroup) {
    const T* key[kKeyGroup];
    const T* value[kKeyGroup];
    for (int64_t j = 0; j < kKeyGroup; ++j) {
      const int64_t row = std::min(first + j, span.keys - 1);
      key[j] = span.key + row * span.key_stride;
      value[j] = span.value + row * span.value_stride;
    }
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t at = h * head_dim;
      V sum[kKeyGroup];
      HWY_UNROLL(4)
      for (int64_t j = 0; j < kKeyGroup; ++j) {
        sum[j] = hn::Zero(d);
        // The values are read next, one head at a time, and are far from the cache.
        hwy::Prefetch(value[j] + at);
      }
      for (int64_t i = 0; i < whole; i += lanes) {
        const V q = hn::LoadU(d, query + at + i);
        HWY_UNROLL(4)
        for (int64_t j = 0; j < kKeyGroup; ++j)
          sum[j] = hn::MulAdd(q, LoadFloats(d, key[j] + at + i), sum[j]);
      }
      float* to = logit + h * stride + first;
      StoreSumsOfLanes(d, sum, to);
      for (int64_t i = whole; i < head_dim; ++i)
        for (int64_t j = 0; j < kKeyGroup; ++j) to[j] += query[at + i] * OneToFloat(key[j][at + i]);
    }
  }
}

// The same for int8 keys, with their scales.
HWY_INLINE void SpanLogits(const float* HWY_RESTRICT query, int64_t heads, int64_t head_dim,
                           const Int8KvSpan& span, float* HWY_RESTRICT logit, int64_t stride) {
  SpanLogits<int8_t>(query, heads, head_dim, span, logit, stride);
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t j = 0; j < span.keys; ++j) logit[h * stride + j] *= span.key_scale[j];
}

// Stores kVectors vectors, from column `at` on, of the sum over all spans of values times weights.
template <int kVectors, class T>
HWY_INLINE void SpansMean(std::span<const KvSpan<T>> spans, int64_t at,
                          const float* HWY_RESTRICT weight, float* HWY_RESTRICT mean) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  // Separate sums for even and odd keys, so that consecutive additions do not depend on each other.
  V sum[2][kVectors];
  HWY_UNROLL(8)
  for (int v = 0; v < kVectors; ++v) sum[0][v] = sum[1][v] = hn::Zero(d);
  for (const KvSpan<T>& span : spans) {
    const T* value = span.value + at;
    const auto add = [&](V(&to)[kVectors], int64_t j) HWY_ATTR {
      const V w = hn::Set(d, weight[j]);
      HWY_UNROLL(8)
      for (int v = 0; v < kVectors; ++v)
        to[v] = hn::MulAdd(w, LoadFloats(d, value + j * span.value_stride + v * lanes), to[v]);
    };
    int64_t j = 0;
    for (; j + 2 <= span.keys; j += 2) {
      add(sum[0], j);
      add(sum[1], j + 1);
    }
    if (j < span.keys) add(sum[0], j);
    weight += span.keys;
  }
  HWY_UNROLL(8)
  for (int v = 0; v < kVectors; ++v) hn::StoreU(hn::Add(sum[0][v], sum[1][v]), d, mean + v * lanes);
}

// All head_dim elements of that sum.
template <class T>
HWY_INLINE void HeadMean(std::span<const KvSpan<T>> spans, int64_t at, int64_t head_dim,
                         const float* weight, float* mean) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<float>()));
  int64_t i = 0;
  for (; i + 4 * lanes <= head_dim; i += 4 * lanes) SpansMean<4>(spans, at + i, weight, mean + i);
  for (; i + lanes <= head_dim; i += lanes) SpansMean<1>(spans, at + i, weight, mean + i);
  for (; i < head_dim; ++i) {
    float sum = 0.0f;
    const float* w = weight;
    for (const KvSpan<T>& span : spans)
      for (int64_t j = 0; j < span.keys; ++j)
        sum += *w++ * OneToFloat(span.value[j * span.value_stride + at + i]);
    mean[i] = sum;
  }
}

// The part of a tile that belongs to head h.
template <class T>
AttentionTile<T> OneHead(AttentionTile<T> tile, int64_t h) {
  tile.query += h * tile.head_dim;
  tile.key += h * tile.head_dim;
  tile.value += h * tile.head_dim;
  tile.heads = 1;
  return tile;
}

template <class T>
void AttendSpans(const DecodedPosition<T>& position, int64_t head_dim, float scale,
                 Scratch& scratch) {
  const auto& [query, heads, spans, int8, out] = position;
  int64_t exact_keys = 0;
  for (const KvSpan<T>& span : spans) exact_keys += span.keys;
  const int64_t keys = exact_keys + int8.keys;
  const int64_t columns = RoundUp(keys);
  const int64_t stride = RoundUp(keys + kKeyGroup);
  const int64_t dim = heads * head_dim;
  float* scaled = scratch.reserve<float>(
      static_cast<size_t>(RoundUp(dim) + heads * stride + RoundUp(head_dim)));
  float* probability = scaled + RoundUp(dim);
  float* int8_mean = probability + heads * stride;

  ScaleToFloat(query, dim, scale, scaled);
  float* logit = probability;
  for (const KvSpan<T>& span : spans) {
    SpanLogits(scaled, heads, head_dim, span, logit, stride);
    logit += span.keys;
  }
  if (int8.keys > 0) SpanLogits(scaled, heads, head_dim, int8, logit, stride);
  for (int64_t h = 0; h < heads; ++h) {
    float* row = probability + h * stride;
    float* to = out + h * head_dim;
    const RowSoftmax softmax = Exponentials(row, keys, columns);
    HeadMean(spans, h * head_dim, head_dim, row, to);
    if (int8.keys > 0) {
      float* weight = row + exact_keys;
      for (int64_t j = 0; j < int8.keys; ++j) weight[j] *= int8.value_scale[j];
      const KvSpan<int8_t>& span = int8;
      HeadMean<int8_t>({&span, 1}, h * head_dim, head_dim, weight, int8_mean);
      for (int64_t d = 0; d < head_dim; ++d) to[d] += int8_mean[d];
    }
    WeightedSum(to, 1.0f / softmax.sum, to, 0.0f, head_dim, to);
  }
}

// A tile with a single query. Keys and values are read only once, so they are not packed.
template <class T>
void AttendOne(const AttentionTile<T>& tile, const AttentionOutput<T>& output, Merge merge,
               Scratch& scratch) {
  const int64_t keys = tile.visible_keys();
  const int64_t columns = RoundUp(keys);
  const int64_t padded_dim = RoundUp(tile.head_dim);
  float* query = scratch.reserve<float>(static_cast<size_t>(2 * padded_dim + columns + kKeyGroup));
  float* mean = query + padded_dim;
  float* probability = mean + padded_dim;
  const KvSpan<T> span{tile.key, tile.key_stride, tile.value, tile.value_stride, keys};

  ScaleToFloat(tile.query, tile.head_dim, tile.scale, query);
  SpanLogits(query, 1, tile.head_dim, span, probability, 0);
  const RowSoftmax softmax = Exponentials(probability, keys, columns);
  HeadMean<T>({&span, 1}, 0, tile.head_dim, probability, mean);
  Finish(mean, softmax, keys, tile.head_dim, merge, output.out, *output.lse);
}

template <class T>
void AttendHead(const AttentionTile<T>& tile, const AttentionOutput<T>& output, Merge merge,
                Scratch& scratch) {
  if (tile.queries == 1) return AttendOne(tile, output, merge, scratch);
  // Later queries see at least as many keys, so the last query of a tile or block sees the most.
  const int64_t keys = tile.visible_keys();
  const int64_t padded_keys = RoundUp(keys);
  const int64_t head_dim = tile.head_dim;
  const int64_t padded_dim = RoundUp(head_dim);

  float* query = scratch.reserve<float>(static_cast<size_t>((kQueryBlock + keys * 2) * padded_dim +
                                                            (head_dim + kQueryBlock) * padded_keys +
                                                            kQueryBlock * padded_dim));
  float* key = query + kQueryBlock * padded_dim;
  float* value = key + keys * padded_dim;
  float* key_transposed = value + keys * padded_dim;
  float* probability = key_transposed + head_dim * padded_keys;
  float* mean = probability + kQueryBlock * padded_keys;

  PackRows(tile.key, tile.key_stride, keys, head_dim, 1.0f, key, padded_dim);
  TransposePacked(key, keys, head_dim, padded_dim, key_transposed, padded_keys);
  PackRows(tile.value, tile.value_stride, keys, head_dim, 1.0f, value, padded_dim);

  for (int64_t first = 0; first < tile.queries; first += kQueryBlock) {
    const int64_t block = std::min(kQueryBlock, tile.queries - first);
    const int64_t block_keys = tile.visible.of(tile.keys, first + block - 1);
    const int64_t block_columns = RoundUp(block_keys);
    PackRows(tile.query + first * tile.query_stride, tile.query_stride, block, head_dim, tile.scale,
             query, padded_dim);
    TileProduct<false>(block, block_columns, head_dim, query, padded_dim, 1, key_transposed,
                       padded_keys, probability, padded_keys);

    RowSoftmax softmax[kQueryBlock];
    for (int64_t i = 0; i < block; ++i)
      softmax[i] = Exponentials(probability + i * padded_keys,
                                tile.visible.of(tile.keys, first + i), block_columns);
    TileProduct<false>(block, padded_dim, block_keys, probability, padded_keys, 1, value,
                       padded_dim, mean, padded_dim);
    for (int64_t i = 0; i < block; ++i)
      Finish(mean + i * padded_dim, softmax[i], tile.visible.of(tile.keys, first + i), head_dim,
             merge, output.out + (first + i) * output.out_stride,
             output.lse[(first + i) * output.lse_stride]);
  }
}

template <class T>
void AttendHeadBackward(const AttentionTile<T>& tile, const AttentionOutputGradient& output,
                        const AttentionGradient& gradient, Scratch& scratch) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t keys = tile.visible_keys();
  if (keys == 0) return;
  const int64_t padded_keys = RoundUp(keys);
  const int64_t head_dim = tile.head_dim;
  const int64_t padded_dim = RoundUp(head_dim);

  float* key = scratch.reserve<float>(
      static_cast<size_t>(3 * keys * padded_dim + 2 * head_dim * padded_keys +
                          2 * kQueryBlock * padded_keys + 3 * kQueryBlock * padded_dim));
  float* d_key = key + keys * padded_dim;
  float* d_value = d_key + keys * padded_dim;
  float* key_transposed = d_value + keys * padded_dim;
  float* value_transposed = key_transposed + head_dim * padded_keys;
  float* probability = value_transposed + head_dim * padded_keys;
  float* d_logit = probability + kQueryBlock * padded_keys;
  float* query = d_logit + kQueryBlock * padded_keys;
  float* d_out = query + kQueryBlock * padded_dim;
  float* d_query = d_out + kQueryBlock * padded_dim;

  // d_key is not used before the loop, so the values pass through it on the way to their transpose.
  PackRows(tile.value, tile.value_stride, keys, head_dim, 1.0f, d_key, padded_dim);
  TransposePacked(d_key, keys, head_dim, padded_dim, value_transposed, padded_keys);
  PackRows(tile.key, tile.key_stride, keys, head_dim, 1.0f, key, padded_dim);
  TransposePacked(key, keys, head_dim, padded_dim, key_transposed, padded_keys);
  std::fill_n(d_key, 2 * keys * padded_dim, 0.0f);

  for (int64_t first = 0; first < tile.queries; first += kQueryBlock) {
    const int64_t block = std::min(kQueryBlock, tile.queries - first);
    const int64_t block_keys = tile.visible.of(tile.keys, first + block - 1);
    if (block_keys == 0) continue;
    const int64_t block_columns = RoundUp(block_keys);
    PackRows(tile.query + first * tile.query_stride, tile.query_stride, block, head_dim, tile.scale,
             query, padded_dim);
    PackRows(output.d_out + first * output.d_out_stride, output.d_out_stride, block, head_dim, 1.0f,
             d_out, padded_dim);
    TileProduct<false>(block, block_columns, head_dim, query, padded_dim, 1, key_transposed,
                       padded_keys, probability, padded_keys);
    TileProduct<false>(block, block_columns, head_dim, d_out, padded_dim, 1, value_transposed,
                       padded_keys, d_logit, padded_keys);
    for (int64_t i = 0; i < block; ++i) {
      const int64_t visible = tile.visible.of(tile.keys, first + i);
      float* p = probability + i * padded_keys;
      float* s = d_logit + i * padded_keys;
      std::fill(p + visible, p + block_columns, -HUGE_VALF);
      const float query_lse = output.lse[(first + i) * output.lse_stride];
      const auto lse = hn::Set(d, visible > 0 ? query_lse : 0.0f);
      const auto delta = hn::Set(d, output.delta[(first + i) * output.delta_stride]);
      for (int64_t j = 0; j < block_columns; j += lanes) {
        const auto pj = FastExp(d, hn::Sub(hn::Load(d, p + j), lse));
        hn::Store(pj, d, p + j);
        hn::Store(hn::Mul(pj, hn::Sub(hn::Load(d, s + j), delta)), d, s + j);
      }
    }
    TileProduct<false>(block, padded_dim, block_keys, d_logit, padded_keys, 1, key, padded_dim,
                       d_query, padded_dim);
    TileProduct<true>(block_keys, padded_dim, block, d_logit, 1, padded_keys, query, padded_dim,
                      d_key, padded_dim);
    TileProduct<true>(block_keys, padded_dim, block, probability, 1, padded_keys, d_out, padded_dim,
                      d_value, padded_dim);
    for (int64_t i = 0; i < block; ++i) {
      float* to = gradient.query + (first + i) * gradient.query_stride;
      WeightedSum(d_query + i * padded_dim, tile.scale, to, 1.0f, head_dim, to);
    }
  }
  for (int64_t j = 0; j < keys; ++j) {
    float* to_key = gradient.key + j * gradient.key_stride;
    WeightedSum(d_key + j * padded_dim, 1.0f, to_key, 1.0f, head_dim, to_key);
    float* to_value = gradient.value + j * gradient.value_stride;
    WeightedSum(d_value + j * padded_dim, 1.0f, to_value, 1.0f, head_dim, to_value);
  }
}

template <class T>
void Attend(const AttentionTile<T>& tile, const AttentionOutput<T>& output, Merge merge,
            Scratch& scratch) {
  for (int64_t h = 0; h < tile.heads; ++h) {
    const int64_t at = h * tile.head_dim;
    const AttentionOutput<T> of_head{output.out + at,       output.out_stride, output.rounded + at,
                                     output.rounded_stride, output.lse + h,    output.lse_stride};
    AttendHead(OneHead(tile, h), of_head, merge, scratch);
  }
  for (int64_t i = 0; i < tile.queries; ++i)
    ConvertRow(output.out + i * output.out_stride, tile.heads * tile.head_dim,
               output.rounded + i * output.rounded_stride);
}

template <class T>
void AttendBackward(const AttentionTile<T>& tile, const AttentionOutputGradient& output,
                    const AttentionGradient& gradient, Scratch& scratch) {
  for (int64_t h = 0; h < tile.heads; ++h) {
    const int64_t at = h * tile.head_dim;
    const AttentionOutputGradient of_head{output.d_out + at, output.d_out_stride,
                                          output.lse + h,    output.lse_stride,
                                          output.delta + h,  output.delta_stride};
    const AttentionGradient to_head{gradient.query + at, gradient.query_stride,
                                    gradient.key + at,   gradient.key_stride,
                                    gradient.value + at, gradient.value_stride};
    AttendHeadBackward(OneHead(tile, h), of_head, to_head, scratch);
  }
}

// Highway's dispatch needs plain functions, not templates.
void AttendFloat(const AttentionTile<float>& tile, const AttentionOutput<float>& output,
                 Merge merge, Scratch& scratch) {
  Attend(tile, output, merge, scratch);
}
void AttendBfloat16(const AttentionTile<bfloat16>& tile, const AttentionOutput<bfloat16>& output,
                    Merge merge, Scratch& scratch) {
#if HWY_TARGET == HWY_AVX3 && COMBINER_HAS_AMX
  if (amx_available() && tile.queries > 1 && tile.visible_keys() > 0)
    return amx::Attend(tile, output, merge, scratch);
#endif
  Attend(tile, output, merge, scratch);
}
template <class T>
void AttendTwice(const AttentionTile<T>& tile, const AttentionOutput<T>& output,
                 const AttentionOutput<T>& whole, Scratch& scratch) {
  AttentionTile<T> all = tile;
  all.visible = Visible::all();
  Attend(all, whole, Merge::replace, scratch);
  Attend(tile, output, Merge::replace, scratch);
}
void AttendCausalAndFullFloat(const AttentionTile<float>& tile,
                              const AttentionOutput<float>& output,
                              const AttentionOutput<float>& whole, Scratch& scratch) {
  AttendTwice(tile, output, whole, scratch);
}
void AttendCausalAndFullBfloat16(const AttentionTile<bfloat16>& tile,
                                 const AttentionOutput<bfloat16>& output,
                                 const AttentionOutput<bfloat16>& whole, Scratch& scratch) {
#if HWY_TARGET == HWY_AVX3 && COMBINER_HAS_AMX
  if (amx_available() && tile.queries > 1 && tile.keys > 0 && tile.visible_keys() == tile.keys)
    return amx::Attend(tile, output, Merge::replace, scratch, &whole);
#endif
  AttendTwice(tile, output, whole, scratch);
}
void AttendSpansFloat(std::span<const DecodedPosition<float>> positions, int64_t head_dim,
                      float scale, Scratch& scratch) {
  for (const DecodedPosition<float>& position : positions)
    AttendSpans(position, head_dim, scale, scratch);
}
void AttendSpansBfloat16(std::span<const DecodedPosition<bfloat16>> positions, int64_t head_dim,
                         float scale, Scratch& scratch) {
  for (const DecodedPosition<bfloat16>& position : positions)
    AttendSpans(position, head_dim, scale, scratch);
}
template <class T>
void AttendTwiceBackward(const AttentionTile<T>& tile, const AttentionOutputGradient& output,
                         const AttentionOutputGradient& whole,
                         const RoundedAttentionGradient<T>& gradient, Scratch& scratch) {
  const int64_t width = tile.heads * tile.head_dim;
  const AttentionGradient& sums = gradient.sums;
  for (int64_t j = 0; j < tile.keys; ++j) {
    std::fill_n(sums.key + j * sums.key_stride, width, 0.0f);
    std::fill_n(sums.value + j * sums.value_stride, width, 0.0f);
  }
  AttentionTile<T> all = tile;
  all.visible = Visible::all();
  AttendBackward(tile, output, sums, scratch);
  AttendBackward(all, whole, sums, scratch);
  for (int64_t i = 0; i < tile.queries; ++i)
    ConvertRow(sums.query + i * sums.query_stride, width,
               gradient.query + i * gradient.query_stride);
  for (int64_t j = 0; j < tile.keys; ++j) {
    ConvertRow(sums.key + j * sums.key_stride, width, gradient.key + j * gradient.key_stride);
    ConvertRow(sums.value + j * sums.value_stride, width,
               gradient.value + j * gradient.value_stride);
  }
}
void AttendCausalAndFullBackwardFloat(const AttentionTile<float>& tile,
                                      const AttentionOutputGradient& output,
                                      const AttentionOutputGradient& whole,
                                      const RoundedAttentionGradient<float>& gradient,
                                      Scratch& scratch) {
  AttendTwiceBackward(tile, output, whole, gradient, scratch);
}
void AttendCausalAndFullBackwardBfloat16(const AttentionTile<bfloat16>& tile,
                                         const AttentionOutputGradient& output,
                                         const AttentionOutputGradient& whole,
                                         const RoundedAttentionGradient<bfloat16>& gradient,
                                         Scratch& scratch) {
#if HWY_TARGET == HWY_AVX3 && COMBINER_HAS_AMX
  if (amx_available() && tile.queries > 1 && tile.keys > 0 && tile.visible_keys() == tile.keys)
    return amx::AttendBackward<2>(tile, {output, whole}, amx::TargetsOf(gradient), scratch);
#endif
  AttendTwiceBackward(tile, output, whole, gradient, scratch);
}
void AttendBackwardFloat(const AttentionTile<float>& tile, const AttentionOutputGradient& output,
                         const AttentionGradient& gradient, Scratch& scratch) {
  AttendBackward(tile, output, gradient, scratch);
}
void AttendBackwardBfloat16(const AttentionTile<bfloat16>& tile,
                            const AttentionOutputGradient& output,
                            const AttentionGradient& gradient, Scratch& scratch) {
#if HWY_TARGET == HWY_AVX3 && COMBINER_HAS_AMX
  if (amx_available() && tile.queries > 1 && tile.visible_keys() > 0)
    return amx::AttendBackward<1>(tile, {output}, amx::TargetsOf(gradient), scratch);
#endif
  AttendBackward(tile, output, gradient, scratch);
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace combiner {

HWY_EXPORT(AttendFloat);
HWY_EXPORT(AttendBfloat16);
HWY_EXPORT(AttendCausalAndFullFloat);
HWY_EXPORT(AttendCausalAndFullBfloat16);
HWY_EXPORT(AttendSpansFloat);
HWY_EXPORT(AttendSpansBfloat16);
HWY_EXPORT(AttendBackwardFloat);
HWY_EXPORT(AttendBackwardBfloat16);
HWY_EXPORT(AttendCausalAndFullBackwardFloat);
HWY_EXPORT(AttendCausalAndFullBackwardBfloat16);

template <>
void attend(const AttentionTile<float>& tile, const AttentionOutput<float>& output, Merge merge,
            Scratch& scratch) {
  HWY_DYNAMIC_DISPATCH(AttendFloat)(tile, output, merge, scratch);
}
template <>
void attend(const AttentionTile<bfloat16>& tile, const AttentionOutput<bfloat16>& output,
            Merge merge, Scratch& scratch) {
  HWY_DYNAMIC_DISPATCH(AttendBfloat16)(tile, output, merge, scratch);
}
template <>
void attend_causal_and_full(const AttentionTile<float>& tile, const AttentionOutput<float>& output,
                            const AttentionOutput<float>& whole, Scratch& scratch) {
  HWY_DYNAMIC_DISPATCH(AttendCausalAndFullFloat)(tile, output, whole, scratch);
}
template <>
void attend_causal_and_full(const AttentionTile<bfloat16>& tile,
                            const AttentionOutput<bfloat16>& output,
                            const AttentionOutput<bfloat16>& whole, Scratch& scratch) {
  HWY_DYNAMIC_DISPATCH(AttendCausalAndFullBfloat16)(tile, output, whole, scratch);
}
template <>
void attend_spans(std::span<const DecodedPosition<float>> positions, int64_t head_dim, float scale,
                  Scratch& scratch) {
  HWY_DYNAMIC_DISPATCH(AttendSpansFloat)(positions, head_dim, scale, scratch);
}
template <>
void attend_spans(std::span<const DecodedPosition<bfloat16>> positions, int64_t head_dim,
                  float scale, Scratch& scratch) {
  if (attend_spans_by_tiles(positions, head_dim, scale, scratch)) return;
  HWY_DYNAMIC_DISPATCH(AttendSpansBfloat16)(positions, head_dim, scale, scratch);
}
template <>
void attend_backward(const AttentionTile<float>& tile, const AttentionOutputGradient& output,
                     const AttentionGradient& gradient, Scratch& scratch) {
  HWY_DYNAMIC_DISPATCH(AttendBackwardFloat)(tile, output, gradient, scratch);
}
template <>
void attend_backward(const AttentionTile<bfloat16>& tile, const AttentionOutputGradient& output,
                     const AttentionGradient& gradient, Scratch& scratch) {
  HWY_DYNAMIC_DISPATCH(AttendBackwardBfloat16)(tile, output, gradient, scratch);
}
template <>
void attend_causal_and_full_backward(const AttentionTile<float>& tile,
                                     const AttentionOutputGradient& output,
                                     const AttentionOutputGradient& whole,
                                     const RoundedAttentionGradient<float>& gradient,
                                     Scratch& scratch) {
  HWY_DYNAMIC_DISPATCH(AttendCausalAndFullBackwardFloat)(tile, output, whole, gradient, scratch);
}
template <>
void attend_causal_and_full_backward(const AttentionTile<bfloat16>& tile,
                                     const AttentionOutputGradient& output,
                                     const AttentionOutputGradient& whole,
                                     const RoundedAttentionGradient<bfloat16>& gradient,
                                     Scratch& scratch) {
  HWY_DYNAMIC_DISPATCH(AttendCausalAndFullBackwardBfloat16)(tile, output, whole, gradient, scratch);
}

}  // namespace combiner
#endif  // HWY_ONCE
