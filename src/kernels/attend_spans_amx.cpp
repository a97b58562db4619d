// attend_spans by tile registers (amx.h). Tiles take 16 keys of a head as they lie; the other
// factor is the head's query, one column. What a tile cannot take as it lies, the values, is for
// vectors.

#include "kernels/attend_spans_amx.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/round_up.h"
#include "kernels/amx.h"
#include "kernels/attend.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attend_spans_amx.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"         // and with it the intrinsics
#include "kernels/simd-inl.h"

#if COMBINER_HAS_AMX && HWY_TARGET == HWY_AVX3
HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Spans = std::span<const KvSpan<bfloat16>>;

// A tile's depths: dimensions of a head.
constexpr int64_t kDims = kTileBytes / static_cast<int64_t>(sizeof(bfloat16));

// A tile's rows of one float, or of one pair of bfloat16.
constexpr int64_t kOneColumn = 4;

// What a tile's row of kDims 8-bit integers takes.
constexpr int64_t kDimGroups = kDims / 4;

// Tiles 0 and 1: 16 keys and a query; 2 and 3: the same in 8 bits; 4 to 7: logits of four heads, or
// two products each of two.
COMBINER_AMX void ShapeForSpans() {
  TileShapes shapes;
  shapes.set(0, kTileRows);
  shapes.set(1, kTileRows, kOneColumn);
  shapes.set(2, kTileRows, kDims);
  shapes.set(3, kDimGroups, kOneColumn);
  for (int tile = 4; tile < 8; ++tile) shapes.set(tile, kTileRows, kOneColumn);
  _tile_loadconfig(&shapes);
}

// Fetches lines in the order in which they lie, as memory likes it best, into the second nearest
// cache: tiles take a few bytes here and there. A little at a time, all the while that the position
// before is attended: a processor has few reads under way at once, and what it computes need not
// wait for them.
class Fetcher {
 public:
  Fetcher() = default;
  Fetcher(const DecodedPosition<bfloat16>& position, int64_t dim)
      : int8_(&position.int8), spans_(position.spans), dim_(dim) {}

  // The next key and its value.
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

  const Int8KvSpan* int8_ = nullptr;  // the first of all, from furthest away,
  Spans spans_;                       // and those to come after it
  int64_t dim_ = 0;
  // Of the line at hand, what is left.
  const char* key_ = nullptr;
  const char* value_ = nullptr;
  int64_t key_bytes_ = 0;
  int64_t value_bytes_ = 0;
  int64_t row_bytes_ = 0;
  int64_t keys_ = 0;
};

HWY_INLINE __mmask16 FirstLanes(int64_t count) {
  return static_cast<__mmask16>(count >= kTileRows ? 0xffff : (1 << count) - 1);
}

// Where the tile of keys begins that is to end with key `end`: the last one early rather than
// beyond the line, in memory that nobody has fetched.
HWY_INLINE int64_t FirstKey(int64_t end, int64_t keys) { return std::min(end, keys) - kTileRows; }

// A line of at least a tile's keys: the same or, its keys copied to `copy` [kTileRows, dim], one in
// which others that nobody needs come after them.
template <class T>
HWY_INLINE KvSpan<T> ExtendedToTile(const KvSpan<T>& span, int64_t dim, T* copy) {
  if (span.keys >= kTileRows) return span;
  for (int64_t j = 0; j < span.keys; ++j)
    std::copy_n(span.key + j * span.key_stride, dim, copy + j * dim);
  finish_stores_for_tiles();
  return {copy, dim, span.value, span.value_stride, kTileRows};
}

// Logits of a tile of keys and the head `h` from the current one on, in `tile`, which intrinsics
// want by its number.
#define COMBINER_ADD_LOGITS(tile, h)                \
  if (first)                                        \
    _tile_zero(tile);                               \
  else                                              \
    _tile_loadd(tile, to + (h)*stride, kOneColumn); \
  _tile_loadd(0, key + (h)*head_dim, key_bytes);    \
  _tile_loadd(1, q + (h)*head_dim, kOneColumn);     \
  _tile_dpbf16ps(tile, 0, 1)

// logit[h * stride + j] = query . key j of each head, of a line of at least a tile's keys.
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
      // A product takes long, but others need not wait for it.
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

// A position's query as tiles multiply it with keys in 8 bits: whole numbers 128 upper + lower, of
// 14 bits and a sign, times each head's scale.
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

// upper[h * stride + j] and lower[...]: the products of a head's halves with key j, whole numbers,
// of a line of at least a tile's keys.
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

// A head's logits of a line in 8 bits, before they are scaled.
COMBINER_AMX HWY_INLINE void JoinLogits(const Int8KvSpan& span, float query_scale,
                                        const int32_t* HWY_RESTRICT upper,
                                        const int32_t* HWY_RESTRICT lower,
                                        float* HWY_RESTRICT logit) {
  for (int64_t j = 0; j < span.keys; j += kTileRows) {
    const __m512 whole = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_load_si512(upper + j)),
                                         _mm512_set1_ps(kUpperStep),
                                         _mm512_cvtepi32_ps(_mm512_load_si512(lower + j)));
    const __mmask16 mask = FirstLanes(span.keys - j);
    const __m512 scale =
        _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, span.key_scale + j), _mm512_set1_ps(query_scale));
    _mm512_store_ps(logit + j, _mm512_mul_ps(whole, scale));
  }
}

// Values in 8 bits and weights of 16 make sums of whole numbers.
struct Int8Values {
  const Int8KvSpan& span;
  float largest = 0;  // of the values' scales

  COMBINER_AMX HWY_INLINE explicit Int8Values(const Int8KvSpan& span_) : span(span_) {
    __m512 high = _mm512_setzero_ps();
    for (int64_t j = 0; j < span.keys; j += kTileRows) high = _mm512_max_ps(high, Scales(j));
    largest = _mm512_reduce_max_ps(high);
  }
  COMBINER_AMX HWY_INLINE __m512 Scales(int64_t j) const {
    return _mm512_maskz_loadu_ps(FirstLanes(span.keys - j), span.value_scale + j);
  }
  // Weights up to one times scales up to the largest are whole numbers of 16 bits, and so small
  // that the sum of all keys' products with values has 32.
  float max_weight() const { return std::min(32767.0f, 0x1p24f / static_cast<float>(span.keys)); }
  float to_integer() const { return largest > 0 ? max_weight() / largest : 0; }
  float from_integer() const { return largest / max_weight(); }
};

// A head's weights of all lines' values; of those in 8 bits, times their scales.
struct SpanWeights {
  bfloat16* exact;
  int16_t* int8;
};

// Turns a head's logits into weights, exp(scale (logit - maximum)), rounded, zero where a line is
// filled up to whole tiles, and returns their sum: in bfloat16, of what they were rounded to.
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
      const __m512 last = _mm512_mask_load_ps(_mm512_set1_ps(-HUGE_VALF), FirstLanes(keys - j),
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

// The same of values in 8 bits.
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

// Adds a line's values, from column `at`, times their weights: two sums of pairs of keys, even and
// odd ones apart, so that one need not wait for the other.
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
  // Beside the last of an odd number its own weight is zero.
  for (; j < span.keys; j += 2, value += 2 * stride)
    sums[0].Add(value, j + 1 < span.keys ? value + stride : value, weight + j);
}

// out[kDims] = the sum over all lines' values, from column `at`, times their weights, over `sum`.
// Products take two keys' values of one dimension from one lane: of each 128 bits, the lower and
// the upper four dimensions.
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

// What a position is attended in; everything begins at a whole vector.
struct SpanScratch {
  int64_t exact = 0;       // columns, whole tiles to each line
  int64_t columns = 0;     // and with those in 8 bits
  float* logit;            // [heads, columns]
  bfloat16* exact_weight;  // [heads, columns]
  int16_t* int8_weight;    // [heads, columns]
  float* sum;              // [heads]
  // In 8 bits: [heads, columns - exact].
  int32_t *upper, *lower;
  SplitQuery query;
  // AtLeastATile's [kTileRows, heads * head_dim], in the same memory.
  bfloat16* keys;
  int8_t* int8_keys;

  SpanScratch(const DecodedPosition<bfloat16>& position, int64_t head_dim, Scratch& scratch) {
    for (const KvSpan<bfloat16>& span : position.spans) exact += round_up(span.keys, kTileRows);
    columns = exact + round_up(position.int8.keys, kTileRows);
    // As if all were floats.
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
    // All heads' weights before all means: the chain from logits to a sum is long, and those of
    // several heads pass at once if nothing else lies between them.
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

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
namespace combiner {

bool attend_spans_by_tiles([[maybe_unused]] std::span<const DecodedPosition<bfloat16>> positions,
                           [[maybe_unused]] int64_t head_dim, [[maybe_unused]] float scale,
                           [[maybe_unused]] Scratch& scratch) {
#if COMBINER_HAS_AMX
  if (head_dim % N_AVX3::kDims != 0 || !amx_available()) return false;
  N_AVX3::AttendSpansByTiles(positions, head_dim, scale, scratch);
  return true;
#else
  return false;
#endif
}

}  // namespace combiner
#endif  // HWY_ONCE
