// attend_lines by tile registers (amx.h). Tiles take 16 keys of a head as they lie; the other
// factor is the head's query, one column. What a tile cannot take as it lies, the values, is for
// vectors.

#include "kernels/attend_lines_amx.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>

#include "kernels/amx.h"
#include "kernels/attend.h"

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

int64_t WholeTiles(int64_t keys) { return (keys + kTileRows - 1) / kTileRows * kTileRows; }

// logit[h * stride + j] = query . key j of each head; undefined up to a whole tile of keys.
COMBINER_AMX void LogitsByTiles(const bfloat16* query, int64_t heads, int64_t head_dim,
                                const KeyLine<bfloat16>& line, float* logit, int64_t stride) {
  // 0: 16 keys, 1: the last ones, 2: a query, 3 and 4: logits of 0 and 1.
  constexpr int64_t kOneColumn = 4;
  const int64_t whole = line.keys / kTileRows * kTileRows;
  const int64_t rest = line.keys - whole;
  TileShapes shapes;
  shapes.set(0, kTileRows);
  shapes.set(2, kTileRows, kOneColumn);
  shapes.set(3, kTileRows, kOneColumn);
  if (rest > 0) {
    shapes.set(1, rest);
    shapes.set(4, rest, kOneColumn);
  }
  _tile_loadconfig(&shapes);
  const int64_t key_bytes = line.key_stride * static_cast<int64_t>(sizeof(bfloat16));
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t d = 0; d < head_dim; d += kDims) {
      const int64_t at = h * head_dim + d;
      float* to = logit + h * stride;
      _tile_loadd(2, query + at, kOneColumn);
      for (int64_t j = 0; j < whole; j += kTileRows) {
        if (d == 0)
          _tile_zero(3);
        else
          _tile_loadd(3, to + j, kOneColumn);
        _tile_loadd(0, line.key + j * line.key_stride + at, key_bytes);
        _tile_dpbf16ps(3, 0, 2);
        _tile_stored(3, to + j, kOneColumn);
      }
      if (rest > 0) {
        if (d == 0)
          _tile_zero(4);
        else
          _tile_loadd(4, to + whole, kOneColumn);
        _tile_loadd(1, line.key + whole * line.key_stride + at, key_bytes);
        _tile_dpbf16ps(4, 1, 2);
        _tile_stored(4, to + whole, kOneColumn);
      }
    }
}

// Turns a head's logits into weights, exp(scale (logit - maximum)) rounded to bfloat16, zero where
// a line is filled up to whole tiles, and returns the sum of what they were rounded to.
COMBINER_AMX HWY_INLINE float WeightsOf(Lines lines, float scale, float* HWY_RESTRICT logit,
                                        bfloat16* HWY_RESTRICT weight) {
  const hn::ScalableTag<float> d;
  __m512 high = _mm512_set1_ps(-HUGE_VALF);
  int64_t columns = 0;
  for (const KeyLine<bfloat16>& line : lines) {
    const int64_t end = columns + WholeTiles(line.keys);
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

// out[kDims] = the sum over all lines' values, from column `at`, times their weights, over `sum`.
COMBINER_AMX HWY_INLINE void MeanOf(Lines lines, int64_t at, const bfloat16* HWY_RESTRICT weight,
                                    float sum, float* HWY_RESTRICT out) {
  // Products take two keys' values of one dimension from one lane: of each 128 bits, the lower and
  // the upper four dimensions. Of even and odd pairs apart, so that one sum need not wait.
  __m512 lower[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  __m512 upper[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  for (const KeyLine<bfloat16>& line : lines) {
    const bfloat16* value = line.value + at;
    for (int64_t j = 0; j < line.keys; j += 2) {
      // Beside the last of an odd number its own weight is zero.
      const int64_t next = j + 1 < line.keys ? line.value_stride : 0;
      const __m512i a = _mm512_loadu_si512(value);
      const __m512i b = _mm512_loadu_si512(value + next);
      int32_t pair;
      std::memcpy(&pair, weight + j, sizeof(pair));
      const auto weights = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
      const size_t turn = static_cast<size_t>(j / 2 % 2);
      lower[turn] = _mm512_dpbf16_ps(
          lower[turn], reinterpret_cast<__m512bh>(_mm512_unpacklo_epi16(a, b)), weights);
      upper[turn] = _mm512_dpbf16_ps(
          upper[turn], reinterpret_cast<__m512bh>(_mm512_unpackhi_epi16(a, b)), weights);
      value += 2 * line.value_stride;
    }
    weight += WholeTiles(line.keys);
  }
  const __m512 scale = _mm512_set1_ps(1.0f / sum);
  const __m512 low = _mm512_mul_ps(_mm512_add_ps(lower[0], lower[1]), scale);
  const __m512 high = _mm512_mul_ps(_mm512_add_ps(upper[0], upper[1]), scale);
  const __m512i first = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
  const __m512i second = _mm512_add_epi32(first, _mm512_set1_epi32(8));
  _mm512_storeu_ps(out, _mm512_permutex2var_ps(low, first, high));
  _mm512_storeu_ps(out + kTileRows, _mm512_permutex2var_ps(low, second, high));
}

// Fetches lines in the order in which they lie, as memory likes it best, into the second nearest
// cache: tiles take a few bytes here and there. In parts, so that other reads get their turn.
class Fetcher {
 public:
  Fetcher(Lines lines, int64_t dim)
      : lines_(lines), row_bytes_(dim * static_cast<int64_t>(sizeof(bfloat16))) {
    for (const KeyLine<bfloat16>& line : lines) rows_ += line.keys;
  }

  // Until `part` of `parts` of all is on its way.
  HWY_INLINE void fetch(int64_t part, int64_t parts) {
    for (const int64_t end = rows_ * part / parts; done_ < end; ++done_, ++row_) {
      while (row_ == lines_.front().keys) {
        lines_ = lines_.subspan(1);
        row_ = 0;
      }
      const KeyLine<bfloat16>& line = lines_.front();
      fetch_row(line.key + row_ * line.key_stride);
      fetch_row(line.value + row_ * line.value_stride);
    }
  }

 private:
  HWY_INLINE void fetch_row(const bfloat16* row) const {
    const char* bytes = reinterpret_cast<const char*>(row);
    for (int64_t i = 0; i < row_bytes_; i += kTileBytes) _mm_prefetch(bytes + i, _MM_HINT_T1);
  }

  Lines lines_;
  int64_t row_bytes_;
  int64_t rows_ = 0;
  int64_t done_ = 0;
  int64_t row_ = 0;  // of the first line
};

COMBINER_AMX void AttendLinesByTiles(const bfloat16* query, int64_t heads, int64_t head_dim,
                                     float scale, Lines lines, Lines next, float* out,
                                     Scratch& scratch) {
  int64_t columns = 0;
  for (const KeyLine<bfloat16>& line : lines) columns += WholeTiles(line.keys);
  const auto logits = static_cast<size_t>(heads * columns);
  auto* logit = scratch.reserve<float>(logits + static_cast<size_t>(columns));
  auto* weight = reinterpret_cast<bfloat16*>(logit + logits);

  // The compiler does not know that tiles are loaded from memory.
  std::atomic_signal_fence(std::memory_order_seq_cst);
  float* to = logit;
  for (const KeyLine<bfloat16>& line : lines) {
    LogitsByTiles(query, heads, head_dim, line, to, columns);
    to += WholeTiles(line.keys);
  }
  _tile_release();
  Fetcher fetcher(next, heads * head_dim);
  for (int64_t h = 0; h < heads; ++h) {
    fetcher.fetch(h + 1, heads);
    const float sum = WeightsOf(lines, scale, logit + h * columns, weight);
    for (int64_t d = 0; d < head_dim; d += kDims)
      MeanOf(lines, h * head_dim + d, weight, sum, out + h * head_dim + d);
  }
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
namespace combiner {

bool attend_lines_by_tiles([[maybe_unused]] const bfloat16* query, [[maybe_unused]] int64_t heads,
                           [[maybe_unused]] int64_t head_dim, [[maybe_unused]] float scale,
                           [[maybe_unused]] std::span<const KeyLine<bfloat16>> lines,
                           [[maybe_unused]] std::span<const KeyLine<bfloat16>> next,
                           [[maybe_unused]] float* out, [[maybe_unused]] Scratch& scratch) {
#if COMBINER_HAS_AMX
  if (head_dim % N_AVX3::kDims != 0 || !amx_available()) return false;
  N_AVX3::AttendLinesByTiles(query, heads, head_dim, scale, lines, next, out, scratch);
  return true;
#else
  return false;
#endif
}

}  // namespace combiner
#endif  // HWY_ONCE
