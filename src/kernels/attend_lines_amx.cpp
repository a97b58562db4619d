// attend_lines by tile registers (amx.h). Tiles take 16 keys of a head as they lie; the other
// factor is the head's query, one column. What a tile cannot take as it lies, the values, is for
// vectors.

#include "kernels/attend_lines_amx.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/amx.h"
#include "kernels/attend.h"
#include "tensor/round_up.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/attend_lines_amx.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"         // and with it the intrinsics
#include "kernels/simd-inl.h"

#if COMBINER_HAS_AMX && HWY_TARGET == HWY_AVX3
HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Lines = std::span<const KeyLine<bfloat16>>;

// A tile's depths: dimensions of a head.
constexpr int64_t kDims = kTileBytes / static_cast<int64_t>(sizeof(bfloat16));

// A tile's rows of one float, or of one pair of bfloat16.
constexpr int64_t kOneColumn = 4;

// Tiles 0 and 1: 16 keys and a query; 4 to 7: logits of four heads. What follows a line's keys is
// read, and makes logits that nobody reads.
COMBINER_AMX void ShapeForLines() {
  TileShapes shapes;
  shapes.set(0, kTileRows);
  shapes.set(1, kTileRows, kOneColumn);
  for (int tile = 4; tile < 8; ++tile) shapes.set(tile, kTileRows, kOneColumn);
  _tile_loadconfig(&shapes);
}

// Fetches lines in the order in which they lie, as memory likes it best, into the second nearest
// cache: tiles take a few bytes here and there. A little at a time, all the while that the position
// before is attended: a processor has few reads under way at once, and what it computes need not
// wait for them.
class Fetcher {
 public:
  Fetcher(Lines lines, int64_t dim)
      : lines_(lines), row_bytes_(dim * static_cast<int64_t>(sizeof(bfloat16))) {}

  // The next key and its value.
  HWY_INLINE void fetch() {
    if (row_ == rows_ && !begin_line()) return;
    const KeyLine<bfloat16>& line = *line_;
    fetch_row(line.key + row_ * line.key_stride);
    fetch_row(line.value + row_ * line.value_stride);
    ++row_;
  }

 private:
  bool begin_line() {
    if (lines_.empty()) return false;
    line_ = &lines_.front();
    lines_ = lines_.subspan(1);
    row_ = 0;
    rows_ = line_->keys;
    return true;
  }
  HWY_INLINE void fetch_row(const bfloat16* row) const {
    const char* bytes = reinterpret_cast<const char*>(row);
    for (int64_t i = 0; i < row_bytes_; i += kTileBytes) _mm_prefetch(bytes + i, _MM_HINT_T1);
  }

  Lines lines_;  // those after `line_`
  const KeyLine<bfloat16>* line_ = nullptr;
  int64_t row_ = 0;
  int64_t rows_ = 0;
  int64_t row_bytes_;
};

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

// logit[h * stride + j] = query . key j of each head; undefined up to a whole tile of keys.
COMBINER_AMX HWY_INLINE void LogitsByTiles(const bfloat16* query, int64_t heads, int64_t head_dim,
                                           const KeyLine<bfloat16>& line, float* logit,
                                           int64_t stride, Fetcher& fetcher) {
  const int64_t key_bytes = line.key_stride * static_cast<int64_t>(sizeof(bfloat16));
  for (int64_t j = 0; j < line.keys; j += kTileRows)
    for (int64_t d = 0; d < head_dim; d += kDims) {
      const bfloat16* key = line.key + j * line.key_stride + d;
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

#undef COMBINER_ADD_LOGITS

// Turns a head's logits into weights, exp(scale (logit - maximum)) rounded to bfloat16, zero where
// a line is filled up to whole tiles, and returns the sum of what they were rounded to.
COMBINER_AMX HWY_INLINE float WeightsOf(Lines lines, float scale, float* HWY_RESTRICT logit,
                                        bfloat16* HWY_RESTRICT weight) {
  const hn::ScalableTag<float> d;
  __m512 high = _mm512_set1_ps(-HUGE_VALF);
  int64_t columns = 0;
  for (const KeyLine<bfloat16>& line : lines) {
    const int64_t end = columns + round_up(line.keys, kTileRows);
    std::fill(logit + columns + line.keys, logit + end, -HUGE_VALF);
    for (int64_t j = columns; j < end; j += kTileRows)
      high = _mm512_max_ps(high, _mm512_load_ps(logit + j));
    columns = end;
  }
  const __m512 maximum = hn::MaxOfLanes(d, hn::Vec512<float>{high}).raw;
  const __m512 scales = _mm512_set1_ps(scale);
  __m512 sum = _mm512_setzero_ps();
  for (int64_t j = 0; j < columns; j += kTileRows) {
    const hn::Vec512<float> x{
        _mm512_mul_ps(_mm512_sub_ps(_mm512_load_ps(logit + j), maximum), scales)};
    const __m256bh rounded = _mm512_cvtneps_pbh(FastExpCoarse(d, x).raw);
    const auto bits = reinterpret_cast<__m256i>(rounded);
    _mm256_store_si256(reinterpret_cast<__m256i*>(weight + j), bits);
    sum =
        _mm512_add_ps(sum, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16)));
  }
  return hn::GetLane(hn::SumOfLanes(d, hn::Vec512<float>{sum}));
}

struct PairSums {
  __m512 lower, upper;

  COMBINER_AMX HWY_INLINE PairSums() : lower(_mm512_setzero_ps()), upper(_mm512_setzero_ps()) {}
  // Adds two rows of values times two weights.
  COMBINER_AMX HWY_INLINE void Add(const bfloat16* first, const bfloat16* second,
                                   const bfloat16* weight) {
    const __m512i a = _mm512_loadu_si512(first);
    const __m512i b = _mm512_loadu_si512(second);
    int32_t pair;
    std::memcpy(&pair, weight, sizeof(pair));
    const auto weights = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
    lower =
        _mm512_dpbf16_ps(lower, reinterpret_cast<__m512bh>(_mm512_unpacklo_epi16(a, b)), weights);
    upper =
        _mm512_dpbf16_ps(upper, reinterpret_cast<__m512bh>(_mm512_unpackhi_epi16(a, b)), weights);
  }
};

// out[kDims] = the sum over all lines' values, from column `at`, times their weights, over `sum`.
COMBINER_AMX HWY_INLINE void MeanOf(Lines lines, int64_t at, const bfloat16* HWY_RESTRICT weight,
                                    float sum, float* HWY_RESTRICT out, Fetcher& fetcher) {
  // Products take two keys' values of one dimension from one lane: of each 128 bits, the lower and
  // the upper four dimensions. Of even and odd pairs apart, so that one sum need not wait.
  PairSums even, odd;
  for (const KeyLine<bfloat16>& line : lines) {
    const bfloat16* value = line.value + at;
    const int64_t stride = line.value_stride;
    int64_t j = 0;
    for (; j + 4 <= line.keys; j += 4, value += 4 * stride) {
      even.Add(value, value + stride, weight + j);
      odd.Add(value + 2 * stride, value + 3 * stride, weight + j + 2);
      if (j % kTileRows == 0) fetcher.fetch();
    }
    // Beside the last of an odd number its own weight is zero.
    for (; j < line.keys; j += 2, value += 2 * stride)
      even.Add(value, j + 1 < line.keys ? value + stride : value, weight + j);
    weight += round_up(line.keys, kTileRows);
  }
  const __m512 scale = _mm512_set1_ps(1.0f / sum);
  const __m512 low = _mm512_mul_ps(_mm512_add_ps(even.lower, odd.lower), scale);
  const __m512 high = _mm512_mul_ps(_mm512_add_ps(even.upper, odd.upper), scale);
  const __m512i first = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
  const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
  _mm512_storeu_ps(out, _mm512_permutex2var_ps(low, first, high));
  _mm512_storeu_ps(out + kTileRows, _mm512_permutex2var_ps(low, second, high));
}

COMBINER_AMX void AttendLinesByTiles(std::span<const DecodedPosition<bfloat16>> positions,
                                     int64_t head_dim, float scale, Scratch& scratch) {
  finish_stores_for_tiles();
  ShapeForLines();
  for (size_t i = 0; i < positions.size(); ++i) {
    const auto& [query, heads, lines, out] = positions[i];
    int64_t columns = 0;
    for (const KeyLine<bfloat16>& line : lines) columns += round_up(line.keys, kTileRows);
    const auto logits = static_cast<size_t>(heads * columns);
    auto* logit = scratch.reserve<float>(logits + static_cast<size_t>(columns));
    auto* weight = reinterpret_cast<bfloat16*>(logit + logits);

    Fetcher fetcher(i + 1 < positions.size() ? positions[i + 1].lines : Lines(), heads * head_dim);
    float* to = logit;
    for (const KeyLine<bfloat16>& line : lines) {
      LogitsByTiles(query, heads, head_dim, line, to, columns, fetcher);
      to += round_up(line.keys, kTileRows);
    }
    for (int64_t h = 0; h < heads; ++h) {
      fetcher.fetch();
      const float sum = WeightsOf(lines, scale, logit + h * columns, weight);
      for (int64_t d = 0; d < head_dim; d += kDims)
        MeanOf(lines, h * head_dim + d, weight, sum, out + h * head_dim + d, fetcher);
    }
  }
  _tile_release();
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
namespace combiner {

bool attend_lines_by_tiles([[maybe_unused]] std::span<const DecodedPosition<bfloat16>> positions,
                           [[maybe_unused]] int64_t head_dim, [[maybe_unused]] float scale,
                           [[maybe_unused]] Scratch& scratch) {
#if COMBINER_HAS_AMX
  static_assert(kReadableKeys == kTileRows);
  if (head_dim % N_AVX3::kDims != 0 || !amx_available()) return false;
  N_AVX3::AttendLinesByTiles(positions, head_dim, scale, scratch);
  return true;
#else
  return false;
#endif
}

}  // namespace combiner
#endif  // HWY_ONCE
