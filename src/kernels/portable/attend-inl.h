// What attention, decoding and the gradient have in common, compiled once per instruction set.

#if defined(COMBINER_KERNELS_PORTABLE_ATTEND_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef COMBINER_KERNELS_PORTABLE_ATTEND_INL_H_
#undef COMBINER_KERNELS_PORTABLE_ATTEND_INL_H_
#else
#define COMBINER_KERNELS_PORTABLE_ATTEND_INL_H_
#endif

#include <algorithm>
#include <cmath>

#include "base/round_up.h"
#include "hwy/cache_control.h"
#include "kernels/attend.h"
#include "kernels/portable/simd-inl.h"
#include "kernels/portable/sixteen-inl.h"

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
HWY_INLINE void PackRows(const T* from, int64_t from_stride, int64_t rows, int64_t width,
                         float scale, float* HWY_RESTRICT to, int64_t stride) {
  for (int64_t i = 0; i < rows; ++i) {
    ScaleToFloat(from + i * from_stride, width, scale, to + i * stride);
    std::fill(to + i * stride + width, to + (i + 1) * stride, 0.0f);
  }
}

// Transposes packed rows: [rows, width] with row stride `stride` to [width, columns], where
// columns >= rows. Columns from `rows` on are zero.
HWY_INLINE void TransposePacked(const float* HWY_RESTRICT from, int64_t rows, int64_t width,
                                int64_t stride, float* HWY_RESTRICT to, int64_t columns) {
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
  Sixteen sum;
  const auto m = hn::Set(d, maximum);
  ForEachWholeVectorOf16(columns, [&](int64_t j, int v) COMBINER_VISITOR {
    const auto p = FastExp(d, hn::Sub(hn::Load(d, row + j), m));
    hn::Store(p, d, row + j);
    sum.v[v] = hn::Add(sum.v[v], p);
  });
  return {maximum, SumOf16(sum)};
}

// The part of a tile that belongs to head h.
template <class T>
HWY_INLINE AttentionTile<T> OneHead(AttentionTile<T> tile, int64_t h) {
  tile.query += h * tile.head_dim;
  tile.key += h * tile.head_dim;
  tile.value += h * tile.head_dim;
  tile.heads = 1;
  return tile;
}

// Keys whose logits are computed together.
constexpr int64_t kKeyGroup = 4;

// logit[h * stride + j] = query . key j for each head h. `query` is packed and scaled. Writes up to
// kKeyGroup - 1 logits past the last key. Int8 keys are read as plain integers, without their
// scales.
template <class T>
HWY_INLINE void SpanLogits(const float* HWY_RESTRICT query, int64_t heads, int64_t head_dim,
                           const KvSpan<T>& span, float* HWY_RESTRICT logit, int64_t stride) {
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
      // The values are read next, one head at a time, and are far from the cache.
      for (int64_t j = 0; j < kKeyGroup; ++j) hwy::Prefetch(value[j] + at);
      Sixteen sum[kKeyGroup];
      ForEachVectorOf16(head_dim, [&](auto lanes, int64_t i, int v) COMBINER_VISITOR {
        const auto q = lanes.Load(query + at + i);
        HWY_UNROLL(4)
        for (int64_t j = 0; j < kKeyGroup; ++j)
          sum[j].v[v] = hn::MulAdd(q, lanes.Load(key[j] + at + i), sum[j].v[v]);
      });
      StoreSumsOf16(sum, logit + h * stride + first);
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
template <int kVectors, class D, class T>
HWY_INLINE void SpansMean(D d, std::span<const KvSpan<T>> spans, int64_t at,
                          const float* HWY_RESTRICT weight, float* HWY_RESTRICT mean) {
  using V = hn::Vec<D>;
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
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + 4 * lanes <= head_dim; i += 4 * lanes)
    SpansMean<4>(d, spans, at + i, weight, mean + i);
  ForEachVectorFrom(d, i, head_dim, [&](auto part, int64_t j) COMBINER_VISITOR {
    SpansMean<1>(part, spans, at + j, weight, mean + j);
  });
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
