// Parts of attend_spans with AMX that stand alone: prefetching the next position, and logits of
// int8 keys. The other factor of a product with keys is a query, as a single column.

#if defined(COMBINER_KERNELS_AMX_SPANS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef COMBINER_KERNELS_AMX_SPANS_INL_H_
#undef COMBINER_KERNELS_AMX_SPANS_INL_H_
#else
#define COMBINER_KERNELS_AMX_SPANS_INL_H_
#endif

#include <algorithm>

#include "hwy/highway.h"  // also provides the intrinsics
#include "kernels/amx/tiles-inl.h"
#include "kernels/amx/tiles.h"
#include "kernels/attend.h"
#include "kernels/portable/simd-inl.h"

#if COMBINER_AVX512_TARGET
HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE::amx {
namespace hn = hwy::HWY_NAMESPACE;

using Spans = std::span<const KvSpan<bfloat16>>;

// Depth of a tile, in dimensions of a head.
constexpr int64_t kDims = kTileBytes / static_cast<int64_t>(sizeof(bfloat16));

// Bytes in a row of a single-column tile: one float, or one pair of bfloat16.
constexpr int64_t kOneColumn = 4;

// Groups of four in kDims 8-bit integers; each fills 32 bits.
constexpr int64_t kDimGroups = kDims / 4;

// First key of the tile that ends at key `end`. A tile that would extend beyond the span, into
// memory that has not been prefetched, starts early instead.
HWY_INLINE int64_t FirstKey(int64_t end, int64_t keys) { return std::min(end, keys) - kTileRows; }

// Prefetches keys and values into the L2 cache in the order in which they are stored, which memory
// serves fastest; tile loads alone would read a few bytes here and there. Each call prefetches only
// a little, while the previous position is being computed: a processor can have only a few reads in
// flight, and the computation does not have to wait for them.
class Fetcher {
 public:
  Fetcher() = default;
  Fetcher(const DecodedPosition<bfloat16>& position, int64_t dim)
      : int8_(&position.int8), spans_(position.spans), dim_(dim) {}

  // Prefetches the next key and its value.
  HWY_INLINE void fetch() {
    if (keys_ == 0 && !begin_span()) return;
    fetch_row(key_, row_bytes_);
    fetch_row(value_, row_bytes_);
    key_ += key_bytes_;
    value_ += value_bytes_;
    --keys_;
  }

 private:
  bool begin_span() {
    if (int8_) {
      begin(*int8_);
      constexpr auto kSize = static_cast<int64_t>(sizeof(float));
      fetch_row(reinterpret_cast<const char*>(int8_->key_scale), keys_ * kSize);
      fetch_row(reinterpret_cast<const char*>(int8_->value_scale), keys_ * kSize);
      int8_ = nullptr;
    }
    if (keys_ == 0 && !spans_.empty()) {
      begin(spans_.front());
      spans_ = spans_.subspan(1);
    }
    return keys_ > 0;
  }
  template <class T>
  void begin(const KvSpan<T>& span) {
    constexpr auto kSize = static_cast<int64_t>(sizeof(T));
    key_ = reinterpret_cast<const char*>(span.key);
    value_ = reinterpret_cast<const char*>(span.value);
    key_bytes_ = span.key_stride * kSize;
    value_bytes_ = span.value_stride * kSize;
    row_bytes_ = dim_ * kSize;
    keys_ = span.keys;
  }
  static HWY_INLINE void fetch_row(const char* row, int64_t bytes) {
    for (int64_t i = 0; i < bytes; i += kTileBytes) _mm_prefetch(row + i, _MM_HINT_T1);
  }

  const Int8KvSpan* int8_ = nullptr;  // fetched first, because it is furthest away
  Spans spans_;                       // fetched afterwards
  int64_t dim_ = 0;
  // The rest of the current span.
  const char* key_ = nullptr;
  const char* value_ = nullptr;
  int64_t key_bytes_ = 0;
  int64_t value_bytes_ = 0;
  int64_t row_bytes_ = 0;
  int64_t keys_ = 0;
};

// A position's query in the form in which tiles multiply it with int8 keys. An element is
// (128 upper + lower) * scale, where scale belongs to the head and 128 upper + lower is an integer
// with 14 bits and a sign.
struct SplitQuery {
  int8_t* upper;
  int8_t* lower;
  float* scale;
};

constexpr float kUpperStep = 128;

COMBINER_AMX HWY_INLINE void Split(const bfloat16* query, int64_t heads, int64_t head_dim,
                                   const SplitQuery& to) {
  constexpr float kMaxMagnitude = 127 * kUpperStep;
  const hn::ScalableTag<float> d;
  for (int64_t h = 0; h < heads; ++h) {
    const bfloat16* from = query + h * head_dim;
    __m512 most = _mm512_setzero_ps();
    for (int64_t i = 0; i < head_dim; i += kTileRows)
      most = _mm512_max_ps(most, _mm512_abs_ps(LoadFloats(d, from + i).raw));
    const float largest = _mm512_reduce_max_ps(most);
    to.scale[h] = largest / kMaxMagnitude;
    const __m512 inverse = _mm512_set1_ps(largest > 0 ? kMaxMagnitude / largest : 0);
    for (int64_t i = 0; i < head_dim; i += kTileRows) {
      const __m512 whole = _mm512_mul_ps(LoadFloats(d, from + i).raw, inverse);
      const __m512i upper =
          _mm512_cvtps_epi32(_mm512_mul_ps(whole, _mm512_set1_ps(1 / kUpperStep)));
      const __m512i lower =
          _mm512_sub_epi32(_mm512_cvtps_epi32(whole), _mm512_slli_epi32(upper, 7));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to.upper + h * head_dim + i),
                       _mm512_cvtepi32_epi8(upper));
      _mm_storeu_si128(reinterpret_cast<__m128i*>(to.lower + h * head_dim + i),
                       _mm512_cvtepi32_epi8(lower));
    }
  }
}

// upper[h * stride + j] and lower[h * stride + j] = the integer products of key j with the upper
// and lower parts of head h of the query. The span has at least one tile of keys.
COMBINER_AMX HWY_INLINE void Int8LogitsByTiles(const SplitQuery& query, int64_t heads,
                                               int64_t head_dim, const KvSpan<int8_t>& span,
                                               int32_t* upper, int32_t* lower, int64_t stride,
                                               Fetcher& fetcher) {
  for (int64_t end = kTileRows; end < span.keys + kTileRows; end += kTileRows) {
    const int64_t j = FirstKey(end, span.keys);
    for (int64_t h = 0; h < heads; ++h) {
      const int64_t at = h * head_dim;
      _tile_zero(4);
      _tile_zero(5);
      for (int64_t d = at; d < at + head_dim; d += kDims) {
        _tile_loadd(2, span.key + j * span.key_stride + d, span.key_stride);
        _tile_loadd(3, query.upper + d, kOneColumn);
        _tile_dpbssd(4, 2, 3);
        _tile_loadd(3, query.lower + d, kOneColumn);
        _tile_dpbssd(5, 2, 3);
      }
      fetcher.fetch();
      _tile_stored(4, upper + h * stride + j, kOneColumn);
      _tile_stored(5, lower + h * stride + j, kOneColumn);
    }
  }
}

// Combines the two products into a head's logits for int8 keys, before the softmax scale.
COMBINER_AMX HWY_INLINE void JoinLogits(const Int8KvSpan& span, float query_scale,
                                        const int32_t* HWY_RESTRICT upper,
                                        const int32_t* HWY_RESTRICT lower,
                                        float* HWY_RESTRICT logit) {
  for (int64_t j = 0; j < span.keys; j += kTileRows) {
    const __m512 whole = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_load_si512(upper + j)),
                                         _mm512_set1_ps(kUpperStep),
                                         _mm512_cvtepi32_ps(_mm512_load_si512(lower + j)));
    const __mmask16 mask = FirstLanes(span.keys - j).raw;
    const __m512 scale =
        _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, span.key_scale + j), _mm512_set1_ps(query_scale));
    _mm512_store_ps(logit + j, _mm512_mul_ps(whole, scale));
  }
}

}  // namespace combiner::HWY_NAMESPACE::amx
HWY_AFTER_NAMESPACE();
#endif

#endif  // per-target include guard
