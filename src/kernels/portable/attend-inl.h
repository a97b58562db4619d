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
  auto sum = hn::Zero(d);
  const auto m = hn::Set(d, maximum);
  for (int64_t j = 0; j < columns; j += lanes) {
    const auto p = FastExp(d, hn::Sub(hn::Load(d, row + j), m));
    hn::Store(p, d, row + j);
    sum = hn::Add(sum, p);
  }
  return {maximum, hn::GetLane(hn::SumOfLanes(d, sum))};
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

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
