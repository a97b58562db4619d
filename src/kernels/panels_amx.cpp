// Products of panels by tile registers (amx.h). A panel is a stack of tiles as it lies. Each block
// of outputs keeps its sums in tiles over all depths, in order, so that an output's bits depend on
// nothing but its row of inputs and its weights.

#include <algorithm>
#include <stdexcept>

#include "kernels/amx.h"
#include "kernels/panels_storage.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/panels_amx.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"         // and with it the intrinsics
#include "kernels/panels-inl.h"
#include "kernels/simd-inl.h"

#if COMBINER_HAS_AMX && HWY_TARGET == HWY_AVX3
HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using Panels = PanelWeights::Panels;

constexpr int64_t kTileSize = kTileRows * kTileBytes;  // in bytes
// Rows up to which weights are read once, in order, while inputs stay in the nearest cache; of more
// rows, some stay there while all weights, which then stay in the next one, pass.
constexpr int64_t kFewRows = 64;

// What is made at once: of two tiles of rows the outputs of two panels, of one tile of rows those
// of four.
struct alignas(64) Sums {
  float tile[4][kTileRows * kWidth];
};

HWY_INLINE __mmask16 FirstColumns(int64_t count) {
  return static_cast<__mmask16>(count >= kWidth ? 0xffff : (1 << count) - 1);
}

COMBINER_AMX HWY_INLINE __m512 LoadColumns(__mmask16 columns, const float* from) {
  return _mm512_maskz_loadu_ps(columns, from);
}
COMBINER_AMX HWY_INLINE __m512 LoadColumns(__mmask16 columns, const bfloat16* from) {
  const __m512i bits = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(columns, from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
}
COMBINER_AMX HWY_INLINE void StoreColumns(__mmask16 columns, __m512 v, float* to) {
  _mm512_mask_storeu_ps(to, columns, v);
}
COMBINER_AMX HWY_INLINE void StoreColumns(__mmask16 columns, __m512 v, bfloat16* to) {
  _mm256_mask_storeu_epi16(to, columns, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v)));
}

// What is done to sums, besides the epilogue's bias and accumulation.
struct NotActivated {
  template <class D, class V>
  static HWY_INLINE V Value(D /*d*/, V v) {
    return v;
  }
};

// A panel's outputs of one row: from sums, times scales if they are integers', to before they are
// stored.
template <class Activate, bool kScaled, bool kAccumulate, class Y>
COMBINER_AMX HWY_INLINE __m512 Finished(const float* sums, __m512 scale, __m512 bias,
                                        __mmask16 columns, const Y* to) {
  __m512 value = _mm512_load_ps(sums);
  if constexpr (kScaled) value = _mm512_mul_ps(value, scale);
  if constexpr (kAccumulate) value = _mm512_add_ps(value, LoadColumns(columns, to));
  value = _mm512_add_ps(value, bias);
  return Activate::Value(hn::ScalableTag<float>(), hn::Vec512<float>{value}).raw;
}

// Where the outputs of one or two panels go, and what becomes of their sums on the way.
template <class Activate, bool kScaled, class Y>
class Finisher {
 public:
  Finisher() = default;
  COMBINER_AMX HWY_INLINE Finisher(const Panels& weights, int64_t panel, int64_t panels,
                                   const Epilogue& epilogue, const Matrix<Y>& y)
      : y_(y.data + panel * kWidth),
        stride_(y.stride),
        two_(panels > 1),
        accumulate_(epilogue.accumulate) {
    for (int64_t p = 0; p < panels; ++p) {
      const int64_t at = (panel + p) * kWidth;
      mask_[p] = FirstColumns(weights.out - at);
      biases_[p] = epilogue.bias ? LoadColumns(mask_[p], epilogue.bias + at) : _mm512_setzero_ps();
      if (kScaled) scales_[p] = _mm512_load_ps(weights.scales.data() + at);
    }
  }

  // `rows` rows of y from `row` on, from the sums of each panel, a row of which follows the one
  // before by `stride`.
  COMBINER_AMX HWY_INLINE void Rows(const float* first, const float* second, int64_t stride,
                                    int64_t row, int64_t rows) const {
    if (accumulate_)
      AllRows<true>(first, second, stride, row, rows);
    else
      AllRows<false>(first, second, stride, row, rows);
  }

 private:
  template <bool kAccumulate>
  COMBINER_AMX HWY_INLINE void AllRows(const float* HWY_RESTRICT first,
                                       const float* HWY_RESTRICT second, int64_t stride,
                                       int64_t row, int64_t rows) const {
    Y* to = y_ + row * stride_;
    for (int64_t i = 0; i < rows; ++i, to += stride_, first += stride, second += stride) {
      const __m512 left =
          Finished<Activate, kScaled, kAccumulate>(first, scales_[0], biases_[0], mask_[0], to);
      if (!two_) {
        StoreColumns(mask_[0], left, to);
        continue;
      }
      const __m512 right = Finished<Activate, kScaled, kAccumulate>(second, scales_[1], biases_[1],
                                                                    mask_[1], to + kWidth);
      if (std::is_same_v<Y, bfloat16> && mask_[1] == 0xffff) {
        _mm512_storeu_si512(to, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(right, left)));
      } else {
        StoreColumns(mask_[0], left, to);
        StoreColumns(mask_[1], right, to + kWidth);
      }
    }
  }

  Y* y_ = nullptr;
  int64_t stride_ = 0;
  bool two_ = false;
  bool accumulate_ = false;
  __mmask16 mask_[2] = {};
  __m512 biases_[2] = {};
  __m512 scales_[2] = {};
};

// ---- bfloat16

// A product's parts that stay the same from block to block.
template <class Y>
struct Bfloat16Task {
  const Panels& weights;
  Matrix<const bfloat16> x;  // whole tiles of depths
  const Matrix<Y>& y;
  const Epilogue& epilogue;

  int64_t panel_bytes() const { return x.columns * kTileSize / kDepthsOfTile; }
  const char* panel(int64_t p) const {
    return reinterpret_cast<const char*>(weights.bf16.data()) + p * panel_bytes();
  }
  const char* inputs(int64_t row) const { return reinterpret_cast<const char*>(x.row(row)); }
  template <class Activate>
  COMBINER_AMX HWY_INLINE Finisher<Activate, false, Y> Finish(int64_t p, int64_t panels) const {
    return {weights, p, panels, epilogue, y};
  }
  int64_t stride() const { return x.stride * static_cast<int64_t>(sizeof(bfloat16)); }

  static constexpr int64_t kDepthsOfTile = kTileBytes / static_cast<int64_t>(sizeof(bfloat16));
};

// Tiles 0 to 3 are sums. Of two tiles of rows, 4 and 5 are inputs, 6 and 7 weights; of one, 4 is
// inputs, 5 to 7 are weights.
COMBINER_AMX HWY_INLINE void ShapeForBfloat16(int64_t rows) {
  const int64_t upper = std::min(rows, kTileRows);
  const int64_t lower = rows - upper;
  TileShapes shapes;
  for (int tile = 0; tile < 8; ++tile) shapes.set(tile, kTileRows);
  for (int tile = 0; tile < 4; ++tile) shapes.set(tile, tile < 2 || lower == 0 ? upper : lower);
  shapes.set(4, upper);
  if (lower > 0) shapes.set(5, lower);
  _tile_loadconfig(&shapes);
}

// A block whose sums are made, [rows, kSumsStride]: more than one tile of rows, one or two panels.
struct MadeBlock {
  const float* sums = nullptr;
  int64_t row = 0;
  int64_t rows = 0;
  int64_t panel = 0;
  int64_t panels = 0;
};
constexpr int64_t kSumsStride = 2 * kWidth;

// Finishes its rows `first` up to `last`, as far as it has them.
template <class Activate, class Y>
COMBINER_AMX HWY_INLINE void FinishBlock(const MadeBlock& block,
                                         const Finisher<Activate, false, Y>& finisher,
                                         int64_t first, int64_t last) {
  const float* sums = block.sums + first * kSumsStride;
  finisher.Rows(sums, sums + kWidth, kSumsStride, block.row + first,
                std::min(last, block.rows) - first);
}

// Asks for the lines of y where rows `first` up to `last` of a block of two panels will be stored,
// or added to. They may lie far away, and one below the other they are too many streams for the
// processor to see by itself.
template <class Y>
COMBINER_AMX HWY_INLINE void FetchRows(const Matrix<Y>& y, int64_t panel, int64_t first,
                                       int64_t last) {
  constexpr int64_t kLine = kTileBytes / static_cast<int64_t>(sizeof(Y));
  for (int64_t i = first; i < last; ++i)
    for (int64_t j = 0; j < 2 * kWidth; j += kLine)
      __builtin_prefetch(y.row(i) + panel * kWidth + j, 1);
}

// More than one tile of rows from `row` on, of one or two panels; the block `before` is finished
// meanwhile, a few rows at a time: tiles multiply beside what vectors do, if there is something of
// both at hand. What finishes it is made here, not kept with it: a struct that is stored in pieces
// and loaded whole waits until all that was stored before, sums too, has left for the cache.
template <class Activate, int kPanels, class Y>
COMBINER_AMX HWY_INLINE void MultiplyTwoTiles(const Bfloat16Task<Y>& task, int64_t row,
                                              int64_t rows, int64_t panel, Sums& sums,
                                              const MadeBlock before) {
  const char* upper = task.inputs(row);
  const char* lower = task.inputs(row + kTileRows);
  const int64_t stride = task.stride();
  const char* first = task.panel(panel);
  const char* second = task.panel(panel + 1);
  const int64_t bytes = task.panel_bytes();
  const int64_t steps = bytes / kTileSize;
  const int64_t rows_a_step = (before.rows + steps - 1) / steps;
  const int64_t fetched_a_step = (rows + steps - 1) / steps;
  const auto finisher = task.template Finish<Activate>(before.panel, before.panels);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t step = 0; step < steps; ++step) {
    const int64_t k = step * kTileBytes;
    const int64_t at = step * kTileSize;
    _tile_loadd(4, upper + k, stride);
    _tile_loadd(6, first + at, kTileBytes);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (kPanels > 1) {
      _tile_loadd(7, second + at, kTileBytes);
      _tile_dpbf16ps(1, 4, 7);
    }
    // Between products, where it begins while those above wait for each other.
    FinishBlock(before, finisher, step * rows_a_step, (step + 1) * rows_a_step);
    _tile_loadd(5, lower + k, stride);
    _tile_dpbf16ps(2, 5, 6);
    if constexpr (kPanels > 1) _tile_dpbf16ps(3, 5, 7);
    FetchRows(task.y, panel, row + std::min(step * fetched_a_step, rows),
              row + std::min((step + 1) * fetched_a_step, rows));
  }
  _tile_stored(0, sums.tile[0], 2 * kTileBytes);
  _tile_stored(1, sums.tile[0] + kWidth, 2 * kTileBytes);
  _tile_stored(2, sums.tile[2], 2 * kTileBytes);
  _tile_stored(3, sums.tile[2] + kWidth, 2 * kTileBytes);
}

// Up to one tile of rows from `row` on, of one or four panels.
template <int kPanels, class Y>
COMBINER_AMX HWY_INLINE void MultiplyOneTile(const Bfloat16Task<Y>& task, int64_t row,
                                             int64_t panel, Sums& sums) {
  const char* x = task.inputs(row);
  const int64_t stride = task.stride();
  const char* panels = task.panel(panel);
  const int64_t bytes = task.panel_bytes();
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t k = 0, at = 0; at < bytes; k += kTileBytes, at += kTileSize) {
    _tile_loadd(4, x + k, stride);
    _tile_loadd(5, panels + at, kTileBytes);
    _tile_dpbf16ps(0, 4, 5);
    if constexpr (kPanels > 1) {
      _tile_loadd(6, panels + bytes + at, kTileBytes);
      _tile_dpbf16ps(1, 4, 6);
      _tile_loadd(7, panels + 2 * bytes + at, kTileBytes);
      _tile_dpbf16ps(2, 4, 7);
      _tile_loadd(5, panels + 3 * bytes + at, kTileBytes);
      _tile_dpbf16ps(3, 4, 5);
    }
  }
  _tile_stored(0, sums.tile[0], kTileBytes);
  _tile_stored(1, sums.tile[1], kTileBytes);
  _tile_stored(2, sums.tile[2], kTileBytes);
  _tile_stored(3, sums.tile[3], kTileBytes);
}

// Makes blocks: each one's products while the one before is finished. Two sets of sums take turns.
template <class Activate, class Y>
class BlockMaker {
 public:
  explicit BlockMaker(const Bfloat16Task<Y>& task) : task_(task) {}

  // `rows` rows from `row` on, of some panels.
  COMBINER_AMX HWY_INLINE void Make(int64_t row, int64_t rows, PanelRange range) {
    if (rows != shaped_for_) ShapeForBfloat16(shaped_for_ = rows);
    int64_t p = range.first;
    if (rows > kTileRows) {
      for (; p + 2 <= range.last; p += 2) MakeTwoTiles<2>(row, rows, p);
      if (p < range.last) MakeTwoTiles<1>(row, rows, p);
    } else {
      FinishMade();
      for (; p + 4 <= range.last; p += 4) MakeOneTile<4>(row, rows, p);
      for (; p < range.last; ++p) MakeOneTile<1>(row, rows, p);
    }
  }

  COMBINER_AMX HWY_INLINE void End() {
    FinishMade();
    _tile_release();
  }

 private:
  COMBINER_AMX HWY_INLINE void FinishMade() {
    FinishBlock(made_, task_.template Finish<Activate>(made_.panel, made_.panels), 0, made_.rows);
    made_ = {};
  }
  template <int kPanels>
  COMBINER_AMX HWY_INLINE void MakeTwoTiles(int64_t row, int64_t rows, int64_t panel) {
    Sums& sums = sums_[turn_ ^= 1];
    MultiplyTwoTiles<Activate, kPanels>(task_, row, rows, panel, sums, made_);
    made_ = {sums.tile[0], row, rows, panel, kPanels};
  }
  template <int kPanels>
  COMBINER_AMX HWY_INLINE void MakeOneTile(int64_t row, int64_t rows, int64_t panel) {
    Sums& sums = sums_[turn_ ^= 1];
    MultiplyOneTile<kPanels>(task_, row, panel, sums);
    for (int p = 0; p < kPanels; p += 2)
      task_.template Finish<Activate>(panel + p, std::min(kPanels, 2))
          .Rows(sums.tile[p], sums.tile[p + 1], kWidth, row, rows);
  }

  const Bfloat16Task<Y>& task_;
  MadeBlock made_;
  Sums sums_[2];
  int turn_ = 0;
  int64_t shaped_for_ = 0;
};

template <class Activate, class Y>
COMBINER_AMX void MakeAll(const Bfloat16Task<Y>& task, PanelRange range) {
  constexpr int64_t kBlockRows = 2 * kTileRows;
  const int64_t all = task.x.rows;
  const int64_t panels = all > kFewRows ? range.last - range.first : all > kTileRows ? 2 : 4;
  BlockMaker<Activate, Y> maker(task);
  for (int64_t p = range.first; p < range.last; p += panels)
    for (int64_t row = 0; row < all; row += kBlockRows)
      maker.Make(row, std::min(kBlockRows, all - row), {p, std::min(p + panels, range.last)});
  maker.End();
}

// x with zeros up to `columns`.
template <class T>
Matrix<const T> Padded(const Matrix<const T>& x, int64_t columns, Scratch& scratch) {
  if (x.columns == columns) return x;
  const Matrix<T> padded(scratch.reserve<T>(static_cast<size_t>(x.rows * columns)), x.rows,
                         columns);
  for (int64_t i = 0; i < x.rows; ++i)
    std::fill(std::copy_n(x.row(i), x.columns, padded.row(i)), padded.row(i) + columns, T{});
  return padded;
}

// ---- 8-bit integers

// Some rows of inputs as whole numbers of 16 bits, each in two bytes: the upper is signed, the
// lower is not. [rows, depth], whole tiles of depths.
struct SplitInputs {
  Matrix<int8_t> upper;
  Matrix<uint8_t> lower;
  Matrix<float> scales;  // [blocks of kDepthAtOnce depths, rows]
};

// The two bytes of values, whose number is a multiple of kTileBytes.
HWY_INLINE void SplitBytes(const int16_t* HWY_RESTRICT values, int64_t count,
                           int8_t* HWY_RESTRICT upper, uint8_t* HWY_RESTRICT lower) {
  const hn::ScalableTag<int16_t> di16;
  const hn::Rebind<uint8_t, decltype(di16)> du8;
  const hn::RebindToUnsigned<decltype(di16)> du16;
  const hn::Rebind<int8_t, decltype(di16)> di8;
  for (int64_t j = 0; j < count; j += static_cast<int64_t>(hn::Lanes(di16))) {
    const auto v = hn::Load(di16, values + j);
    hn::StoreU(hn::DemoteTo(di8, hn::ShiftRight<8>(v)), di8, upper + j);
    hn::StoreU(hn::TruncateTo(du8, hn::BitCast(du16, v)), du8, lower + j);
  }
}

template <class X>
SplitInputs Split(const Matrix<const X>& x, int64_t depth, Scratch& scratch) {
  const int64_t blocks = (x.columns + kDepthAtOnce - 1) / kDepthAtOnce;
  const auto size = static_cast<size_t>(x.rows * depth);
  auto* memory =
      scratch.reserve<std::byte>(2 * size + static_cast<size_t>(x.rows * blocks) * sizeof(float));
  const SplitInputs split{{reinterpret_cast<int8_t*>(memory), x.rows, depth},
                          {reinterpret_cast<uint8_t*>(memory + size), x.rows, depth},
                          {reinterpret_cast<float*>(memory + 2 * size), blocks, x.rows}};
  alignas(64) int16_t values[kDepthAtOnce];
  for (int64_t i = 0; i < x.rows; ++i)
    for (int64_t k = 0; k < x.columns; k += kDepthAtOnce) {
      const int64_t count = std::min(kDepthAtOnce, x.columns - k);
      const int64_t padded = std::min(kDepthAtOnce, depth - k);
      split.scales.row(k / kDepthAtOnce)[i] = Quantize(x.row(i) + k, count, values);
      std::fill(values + count, values + padded, int16_t{0});
      SplitBytes(values, padded, split.upper.row(i) + k, split.lower.row(i) + k);
    }
  return split;
}

template <class Y>
struct Int8Task {
  const Panels& weights;
  const SplitInputs& x;
  const Matrix<Y>& y;
  const Epilogue& epilogue;
};

// Tiles 0 and 1 are sums of products with the upper bytes, one for each panel, 2 and 3 of those
// with the lower; 4 and 5 upper and lower bytes, 6 and 7 weights of two panels.
COMBINER_AMX HWY_INLINE void ShapeForInt8(int64_t rows) {
  TileShapes shapes;
  for (int tile = 0; tile < 8; ++tile) shapes.set(tile, tile < 6 ? rows : kTileRows);
  _tile_loadconfig(&shapes);
}

// Products of `bytes` of depths from `k` on.
template <int kPanels, class Y>
COMBINER_AMX HWY_INLINE void MultiplyIntegers(const Int8Task<Y>& task, int64_t row, int64_t panel,
                                              int64_t k, int64_t bytes,
                                              int32_t (&sums)[4][kTileRows * kWidth]) {
  const int64_t depth = task.x.upper.columns;
  const int8_t* upper = task.x.upper.row(row) + k;
  const uint8_t* lower = task.x.lower.row(row) + k;
  const int8_t* first = task.weights.int8.data() + (panel * depth + k) * kWidth;
  const int8_t* second = first + depth * kWidth;
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t at = 0; at < bytes; at += kTileBytes) {
    _tile_loadd(4, upper + at, depth);
    _tile_loadd(6, first + at * kWidth, kTileBytes);
    _tile_dpbssd(0, 4, 6);
    _tile_loadd(5, lower + at, depth);
    _tile_dpbusd(2, 5, 6);
    if constexpr (kPanels > 1) {
      _tile_loadd(7, second + at * kWidth, kTileBytes);
      _tile_dpbssd(1, 4, 7);
      _tile_dpbusd(3, 5, 7);
    }
  }
  _tile_stored(0, sums[0], kTileBytes);
  _tile_stored(1, sums[1], kTileBytes);
  _tile_stored(2, sums[2], kTileBytes);
  _tile_stored(3, sums[3], kTileBytes);
}

// Up to one tile of rows, for which tiles are shaped, of kPanels panels (one or two).
template <class Activate, int kPanels, class Y>
COMBINER_AMX HWY_INLINE void MakeBlock(const Int8Task<Y>& task, int64_t row, int64_t rows,
                                       int64_t panel, Sums& sums) {
  alignas(64) int32_t integers[4][kTileRows * kWidth];
  const int64_t depth = task.x.upper.columns;
  for (int64_t k = 0; k < depth; k += kDepthAtOnce) {
    MultiplyIntegers<kPanels>(task, row, panel, k, std::min(kDepthAtOnce, depth - k), integers);
    const float* scales = task.x.scales.row(k / kDepthAtOnce) + row;
    for (int p = 0; p < kPanels; ++p)
      for (int64_t i = 0; i < rows; ++i) {
        const __m512i upper = _mm512_load_si512(integers[p] + i * kWidth);
        const __m512i lower = _mm512_load_si512(integers[2 + p] + i * kWidth);
        const __m512i whole = _mm512_add_epi32(_mm512_slli_epi32(upper, 8), lower);
        float* sum = sums.tile[p] + i * kWidth;
        const __m512 before = k == 0 ? _mm512_setzero_ps() : _mm512_load_ps(sum);
        _mm512_store_ps(
            sum, _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole), _mm512_set1_ps(scales[i]), before));
      }
  }
  Finisher<Activate, true, Y>(task.weights, panel, kPanels, task.epilogue, task.y)
      .Rows(sums.tile[0], sums.tile[1], kWidth, row, rows);
}

template <class Activate, class Y>
COMBINER_AMX void MakeAll(const Int8Task<Y>& task, PanelRange range) {
  Sums sums;
  int64_t shaped_for = 0;
  for (int64_t p = range.first; p < range.last; p += 2)
    for (int64_t row = 0; row < task.y.rows; row += kTileRows) {
      const int64_t rows = std::min(kTileRows, task.y.rows - row);
      if (rows != shaped_for) ShapeForInt8(shaped_for = rows);
      if (p + 2 <= range.last)
        MakeBlock<Activate, 2>(task, row, rows, p, sums);
      else
        MakeBlock<Activate, 1>(task, row, rows, p, sums);
    }
  _tile_release();
}

template <class Activate, class X, class Y>
void MultiplyAndActivate(const Matrix<const X>& x, const Panels& weights, const Matrix<Y>& y,
                         const Epilogue& epilogue, PanelRange range, Scratch& scratch) {
  if (!weights.int8.empty()) {
    for (int64_t i = 0; i < x.rows; i += kFewRows) {
      const int64_t rows = std::min(kFewRows, x.rows - i);
      const SplitInputs split = Split(x.row_block(i, rows), weights.depth<int8_t>(), scratch);
      finish_stores_for_tiles();
      MakeAll<Activate>(Int8Task<Y>{weights, split, y.row_block(i, rows), epilogue}, range);
    }
    return;
  }
  if constexpr (std::is_same_v<X, bfloat16>) {
    const auto padded = Padded(x, weights.depth<bfloat16>(), scratch);
    finish_stores_for_tiles();
    MakeAll<Activate>(Bfloat16Task<Y>{weights, padded, y, epilogue}, range);
  }
}

template <class X, class Y>
void MultiplyTiles(const Matrix<const X>& x, const Panels& weights, const Matrix<Y>& y,
                   const Epilogue& epilogue, PanelRange range, Scratch& scratch) {
  if (!epilogue.activation)
    MultiplyAndActivate<NotActivated>(x, weights, y, epilogue, range, scratch);
  else if (*epilogue.activation == Activation::relu)
    MultiplyAndActivate<Relu<Y>>(x, weights, y, epilogue, range, scratch);
  else
    MultiplyAndActivate<Gelu<Y>>(x, weights, y, epilogue, range, scratch);
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE
namespace combiner {

template <class X, class Y>
void multiply_tiles([[maybe_unused]] Matrix<const X> x,
                    [[maybe_unused]] const PanelWeights::Panels& weights,
                    [[maybe_unused]] Matrix<Y> y, [[maybe_unused]] const Epilogue& epilogue,
                    [[maybe_unused]] PanelRange range, [[maybe_unused]] Scratch& scratch) {
#if COMBINER_HAS_AMX
  N_AVX3::MultiplyTiles(x, weights, y, epilogue, range, scratch);
#else
  throw std::logic_error("panels are packed for tile registers that no kernel was compiled for");
#endif
}
template void multiply_tiles(Matrix<const float>, const PanelWeights::Panels&, Matrix<float>,
                             const Epilogue&, PanelRange, Scratch&);
template void multiply_tiles(Matrix<const bfloat16>, const PanelWeights::Panels&, Matrix<float>,
                             const Epilogue&, PanelRange, Scratch&);
template void multiply_tiles(Matrix<const bfloat16>, const PanelWeights::Panels&, Matrix<bfloat16>,
                             const Epilogue&, PanelRange, Scratch&);

}  // namespace combiner
#endif  // HWY_ONCE
