// attend_spans with AMX (kernels/amx/tiles.h). One factor is a tile of 16 keys of a head, loaded
// from where they are; the other is the head's query, as a single column. The values are not stored
// in the layout of a tile, so vectors process them.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/round_up.h"
#include "kernels/amx/amx.h"
#include "kernels/amx/tiles.h"
#include "kernels/attend.h"
#include "kernels/portable/portable.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/amx/attend_spans.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"         // also provides the intrinsics
#include "kernels/amx/spans-inl.h"
#include "kernels/amx/tiles-inl.h"
#include "kernels/portable/simd-inl.h"

#if COMBINER_AVX512_TARGET
HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE::amx {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

// Tiles 0 and 1 hold 16 keys and a query, tiles 2 and 3 the same in int8. Tiles 4 to 7 hold
// results: logits of four heads or, in tiles 4 and 5, the two products of one head with int8 keys.
COMBINER_AMX void ShapeForSpans() {
  TileShapes shapes;
  shapes.set(0, kTileRows);
  shapes.set(1, kTileRows, kOneColumn);
  shapes.set(2, kTileRows, kDims);
  shapes.set(3, kDimGroups, kOneColumn);
  for (int tile = 4; tile < 8; ++tile) shapes.set(tile, kTileRows, kOneColumn);
  shapes.finish_stores();
  _tile_loadconfig(&shapes);
}

// Returns a span with at least one tile of keys: `span` itself, or one whose keys are copied to
// `copy` [kTileRows, dim], where unused rows follow them.
template <class T>
HWY_INLINE KvSpan<T> ExtendedToTile(const KvSpan<T>& span, int64_t dim, T* copy) {
  if (span.keys >= kTileRows) return span;
  for (int64_t j = 0; j < span.keys; ++j)
    std::copy_n(span.key + j * span.key_stride, dim, copy + j * dim);
  finish_stores_for_tiles();
  return {copy, dim, span.value, span.value_stride, kTileRows};
}

// Adds the logits of a tile of keys for the h-th head from the current one on to `tile`. This is a
// macro because the intrinsics need the tile's number as a constant.
#define COMBINER_ADD_LOGITS(tile, h)                \
  if (first)                                        \
    _tile_zero(tile);                               \
  else                                              \
    _tile_loadd(tile, to + (h)*stride, kOneColumn); \
  _tile_loadd(0, key + (h)*head_dim, key_bytes);    \
  _tile_loadd(1, q + (h)*head_dim, kOneColumn);     \
  _tile_dpbf16ps(tile, 0, 1)

// logit[h * stride + j] = query . key j for each head h. The span has at least one tile of keys.
COMBINER_AMX HWY_INLINE void LogitsByTiles(const bfloat16* query, int64_t heads, int64_t head_dim,
                                           const KvSpan<bfloat16>& span, float* logit,
                                           int64_t stride, Fetcher& fetcher) {
  const int64_t key_bytes = span.key_stride * static_cast<int64_t>(sizeof(bfloat16));
  for (int64_t end = kTileRows; end < span.keys + kTileRows; end += kTileRows) {
    const int64_t j = FirstKey(end, span.keys);
    for (int64_t d = 0; d < head_dim; d += kDims) {
      const bfloat16* key = span.key + j * span.key_stride + d;
      const bfloat16* q = query + d;
      float* to = logit + j;
      const bool first = d == 0;
      int64_t h = 0;
      // Four independent products at a time, because a single one has a long latency.
      for (; h + 4 <= heads; h += 4, q += 4 * head_dim, key += 4 * head_dim, to += 4 * stride) {
        COMBINER_ADD_LOGITS(4, 0);
        fetcher.fetch();
        COMBINER_ADD_LOGITS(5, 1);
        COMBINER_ADD_LOGITS(6, 2);
        fetcher.fetch();
        COMBINER_ADD_LOGITS(7, 3);
        _tile_stored(4, to, kOneColumn);
        _tile_stored(5, to + stride, kOneColumn);
        _tile_stored(6, to + 2 * stride, kOneColumn);
        _tile_stored(7, to + 3 * stride, kOneColumn);
      }
      for (; h < heads; ++h, q += head_dim, key += head_dim, to += stride) {
        COMBINER_ADD_LOGITS(4, 0);
        _tile_stored(4, to, kOneColumn);
      }
    }
  }
}

#undef COMBINER_ADD_LOGITS

// Int8 values and their scales. Their products with 16-bit weights are summed as integers.
struct Int8Values {
  const Int8KvSpan& span;
  float largest = 0;  // value scale

  COMBINER_AMX HWY_INLINE explicit Int8Values(const Int8KvSpan& span_) : span(span_) {
    __m512 high = _mm512_setzero_ps();
    for (int64_t j = 0; j < span.keys; j += kTileRows) high = _mm512_max_ps(high, Scales(j));
    largest = _mm512_reduce_max_ps(high);
  }
  COMBINER_AMX HWY_INLINE __m512 Scales(int64_t j) const {
    return _mm512_maskz_loadu_ps(FirstLanes(span.keys - j).raw, span.value_scale + j);
  }
  // A weight, at most 1, times a value's scale, at most `largest`, becomes a 16-bit integer, small
  // enough that the sum over all keys of its products with the values fits in 32 bits.
  float max_weight() const { return std::min(32767.0f, 0x1p24f / static_cast<float>(span.keys)); }
  float to_integer() const { return largest > 0 ? max_weight() / largest : 0; }
  float from_integer() const { return largest / max_weight(); }
};

// A head's weights for the values of all spans. Those for int8 values include the values' scales.
struct SpanWeights {
  bfloat16* exact;
  int16_t* int8;
};

// Converts a head's logits to weights, exp(scale (logit - maximum)), rounded, with zeros where a
// span is padded to whole tiles. Returns their sum; for bfloat16 weights, the sum of the rounded
// weights.
COMBINER_AMX HWY_INLINE float WeightsOf(Spans spans, const Int8Values& int8, float scale,
                                        float* HWY_RESTRICT logit, const SpanWeights& weight) {
  const hn::ScalableTag<float> d;
  __m512 high = _mm512_set1_ps(-HUGE_VALF);
  int64_t columns = 0;
  const auto add_span = [&](int64_t keys) COMBINER_AMX {
    int64_t j = 0;
    for (; j + kTileRows <= keys; j += kTileRows)
      high = _mm512_max_ps(high, _mm512_load_ps(logit + columns + j));
    if (j < keys) {
      const __m512 last = _mm512_mask_load_ps(_mm512_set1_ps(-HUGE_VALF), FirstLanes(keys - j).raw,
                                              logit + columns + j);
      _mm512_store_ps(logit + columns + j, last);
      high = _mm512_max_ps(high, last);
      j += kTileRows;
    }
    columns += j;
  };
  for (const KvSpan<bfloat16>& span : spans) add_span(span.keys);
  const int64_t exact = columns;
  add_span(int8.span.keys);

  const __m512 maximum = hn::MaxOfLanes(d, hn::Vec512<float>{high}).raw;
  const __m512 scales = _mm512_set1_ps(scale);
  const auto weights = [&](int64_t j) COMBINER_AMX {
    const __m512 x = _mm512_mul_ps(_mm512_sub_ps(_mm512_load_ps(logit + j), maximum), scales);
    return FastExpCoarse(d, hn::Vec512<float>{x}).raw;
  };
  __m512 sum = _mm512_setzero_ps();
  for (int64_t j = 0; j < exact; j += kTileRows) {
    const auto bits = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(weights(j)));
    _mm256_store_si256(reinterpret_cast<__m256i*>(weight.exact + j), bits);
    sum =
        _mm512_add_ps(sum, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16)));
  }
  const __m512 to_integer = _mm512_set1_ps(int8.to_integer());
  for (int64_t j = exact; j < columns; j += kTileRows) {
    const __m512 w = weights(j);
    sum = _mm512_add_ps(sum, w);
    const __m512 whole = _mm512_mul_ps(_mm512_mul_ps(w, int8.Scales(j - exact)), to_integer);
    _mm256_store_si256(reinterpret_cast<__m256i*>(weight.int8 + j - exact),
                       _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(whole)));
  }
  return hn::GetLane(hn::SumOfLanes(d, hn::Vec512<float>{sum}));
}

template <class T>
HWY_INLINE int32_t PairOf(const T* weight) {
  int32_t pair;
  std::memcpy(&pair, weight, sizeof(pair));
  return pair;
}

struct PairSums {
  __m512 lower, upper;

  COMBINER_AMX HWY_INLINE PairSums() : lower(_mm512_setzero_ps()), upper(_mm512_setzero_ps()) {}
  // Adds two rows of values times two weights.
  COMBINER_AMX HWY_INLINE void Add(const bfloat16* first, const bfloat16* second,
                                   const bfloat16* weight) {
    const __m512i a = _mm512_loadu_si512(first);
    const __m512i b = _mm512_loadu_si512(second);
    const auto weights = reinterpret_cast<__m512bh>(_mm512_set1_epi32(PairOf(weight)));
    lower =
        _mm512_dpbf16_ps(lower, reinterpret_cast<__m512bh>(_mm512_unpacklo_epi16(a, b)), weights);
    upper =
        _mm512_dpbf16_ps(upper, reinterpret_cast<__m512bh>(_mm512_unpackhi_epi16(a, b)), weights);
  }
};

// The same for int8 values.
struct Int8PairSums {
  __m512i lower, upper;

  COMBINER_AMX HWY_INLINE Int8PairSums()
      : lower(_mm512_setzero_si512()), upper(_mm512_setzero_si512()) {}
  COMBINER_AMX HWY_INLINE void Add(const int8_t* first, const int8_t* second,
                                   const int16_t* weight) {
    const __m512i a = Load(first);
    const __m512i b = Load(second);
    const __m512i weights = _mm512_set1_epi32(PairOf(weight));
    lower = _mm512_dpwssd_epi32(lower, _mm512_unpacklo_epi16(a, b), weights);
    upper = _mm512_dpwssd_epi32(upper, _mm512_unpackhi_epi16(a, b), weights);
  }

 private:
  static COMBINER_AMX HWY_INLINE __m512i Load(const int8_t* from) {
    return _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from)));
  }
};

// Adds a span's values, from column `at` on, times their weights. Pairs of keys alternate between
// two sums, so that consecutive additions do not depend on each other.
template <class Sums, class T, class Weight>
COMBINER_AMX HWY_INLINE void AddSpan(const KvSpan<T>& span, int64_t at, const Weight* weight,
                                     Sums (&sums)[2], Fetcher& fetcher) {
  const T* value = span.value + at;
  const int64_t stride = span.value_stride;
  int64_t j = 0;
  for (; j + 4 <= span.keys; j += 4, value += 4 * stride) {
    sums[0].Add(value, value + stride, weight + j);
    sums[1].Add(value + 2 * stride, value + 3 * stride, weight + j + 2);
    if (j % kTileRows == 0) fetcher.fetch();
  }
  // If the number of keys is odd, the last one is paired with itself, with a second weight of zero.
  for (; j < span.keys; j += 2, value += 2 * stride)
    sums[0].Add(value, j + 1 < span.keys ? value + stride : value, weight + j);
}

// out[kDims] = the sum over all spans of values, from column `at` on, times weights, divided by
// `sum`. A product adds the values of two keys for one dimension, which must lie in the same lane.
// So in each 128 bits `lower` holds the lower four dimensions and `upper` the upper four.
COMBINER_AMX HWY_INLINE void MeanOf(Spans spans, const Int8Values& int8, int64_t at,
                                    const SpanWeights& weight, float sum, float* HWY_RESTRICT out,
                                    Fetcher& fetcher) {
  PairSums exact[2];
  const bfloat16* span_weight = weight.exact;
  for (const KvSpan<bfloat16>& span : spans) {
    AddSpan(span, at, span_weight, exact, fetcher);
    span_weight += round_up(span.keys, kTileRows);
  }
  Int8PairSums whole[2];
  AddSpan<Int8PairSums, int8_t>(int8.span, at, weight.int8, whole, fetcher);

  const __m512 unit = _mm512_set1_ps(int8.from_integer());
  const __m512 scale = _mm512_set1_ps(1.0f / sum);
  const auto total = [&](__m512 a, __m512 b, __m512i c, __m512i e) COMBINER_AMX {
    const __m512 of_whole = _mm512_cvtepi32_ps(_mm512_add_epi32(c, e));
    return _mm512_mul_ps(_mm512_fmadd_ps(of_whole, unit, _mm512_add_ps(a, b)), scale);
  };
  const __m512 low = total(exact[0].lower, exact[1].lower, whole[0].lower, whole[1].lower);
  const __m512 high = total(exact[0].upper, exact[1].upper, whole[0].upper, whole[1].upper);
  const __m512i first = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
  const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
  _mm512_storeu_ps(out, _mm512_permutex2var_ps(low, first, high));
  _mm512_storeu_ps(out + kTileRows, _mm512_permutex2var_ps(low, second, high));
}

// Scratch memory for one position. Every array starts at a whole vector.
struct SpanScratch {
  int64_t exact = 0;       // columns of bfloat16 keys, each span padded to whole tiles
  int64_t columns = 0;     // the same plus those of int8 keys
  float* logit;            // [heads, columns]
  bfloat16* exact_weight;  // [heads, columns]
  int16_t* int8_weight;    // [heads, columns]
  float* sum;              // [heads]
  // For int8 keys: [heads, columns - exact].
  int32_t *upper, *lower;
  SplitQuery query;
  // The copy of ExtendedToTile, [kTileRows, heads * head_dim]; both types share the memory.
  bfloat16* keys;
  int8_t* int8_keys;

  SpanScratch(const DecodedPosition<bfloat16>& position, int64_t head_dim, Scratch& scratch) {
    for (const KvSpan<bfloat16>& span : position.spans) exact += round_up(span.keys, kTileRows);
    columns = exact + round_up(position.int8.keys, kTileRows);
    // Reserves room as if all elements were floats.
    const int64_t heads = round_up(position.heads, kTileRows);
    const int64_t row = heads * columns;
    const int64_t queries = heads * head_dim;
    logit = scratch.reserve<float>(
        static_cast<size_t>(5 * row + 2 * heads + (2 + kTileRows) * queries));
    exact_weight = reinterpret_cast<bfloat16*>(logit + row);
    int8_weight = reinterpret_cast<int16_t*>(logit + 2 * row);
    upper = reinterpret_cast<int32_t*>(logit + 3 * row);
    lower = reinterpret_cast<int32_t*>(logit + 4 * row);
    sum = logit + 5 * row;
    query.scale = sum + heads;
    query.upper = reinterpret_cast<int8_t*>(sum + 2 * heads);
    query.lower = reinterpret_cast<int8_t*>(sum + 2 * heads + queries);
    keys = reinterpret_cast<bfloat16*>(sum + 2 * heads + 2 * queries);
    int8_keys = reinterpret_cast<int8_t*>(keys);
  }
  SpanWeights weight(int64_t h) const {
    return {exact_weight + h * columns, int8_weight + h * columns};
  }
};

COMBINER_AMX void AttendSpansByTiles(std::span<const DecodedPosition<bfloat16>> positions,
                                     int64_t head_dim, float scale, Scratch& scratch) {
  finish_stores_for_tiles();
  ShapeForSpans();
  for (size_t i = 0; i < positions.size(); ++i) {
    const DecodedPosition<bfloat16>& position = positions[i];
    const auto& [query, heads, spans, int8, out] = position;
    const SpanScratch at(position, head_dim, scratch);

    Fetcher fetcher;
    if (i + 1 < positions.size()) fetcher = Fetcher(positions[i + 1], heads * head_dim);
    float* to = at.logit;
    for (const KvSpan<bfloat16>& span : spans) {
      LogitsByTiles(query, heads, head_dim, ExtendedToTile(span, heads * head_dim, at.keys), to,
                    at.columns, fetcher);
      to += round_up(span.keys, kTileRows);
    }
    const int64_t int8_columns = at.columns - at.exact;
    if (int8.keys > 0) {
      Split(query, heads, head_dim, at.query);
      finish_stores_for_tiles();
      const auto span = ExtendedToTile<int8_t>(int8, heads * head_dim, at.int8_keys);
      Int8LogitsByTiles(at.query, heads, head_dim, span, at.upper, at.lower, int8_columns, fetcher);
    }
    // All heads' weights before all means: the dependency chain from logits to a sum is long, and
    // the chains of several heads overlap only if nothing else lies between them.
    const Int8Values int8_values(int8);
    for (int64_t h = 0; h < heads; ++h) {
      fetcher.fetch();
      float* logit = at.logit + h * at.columns;
      if (int8.keys > 0)
        JoinLogits(int8, at.query.scale[h], at.upper + h * int8_columns,
                   at.lower + h * int8_columns, logit + at.exact);
      at.sum[h] = WeightsOf(spans, int8_values, scale, logit, at.weight(h));
    }
    for (int64_t h = 0; h < heads; ++h) {
      fetcher.fetch();
      for (int64_t d = 0; d < head_dim; d += kDims)
        MeanOf(spans, int8_values, h * head_dim + d, at.weight(h), at.sum[h],
               out + h * head_dim + d, fetcher);
    }
  }
  _tile_release();
}

}  // namespace
}  // namespace combiner::HWY_NAMESPACE::amx
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE && COMBINER_AVX512_KERNELS
namespace combiner::amx {

void attend_spans(std::span<const DecodedPosition<bfloat16>> positions, int64_t head_dim,
                  float scale, Scratch& scratch) {
  if (head_dim % N_AVX3::amx::kDims != 0)
    return portable::attend_spans(positions, head_dim, scale, scratch);
  N_AVX3::amx::AttendSpansByTiles(positions, head_dim, scale, scratch);
}

}  // namespace combiner::amx
#endif
