// Products of panels with AMX (kernels/amx/tiles.h). A panel is stored as a stack of tiles. The
// sums of each block of outputs stay in tiles over all depths, in order, so that the bits of an
// output depend on nothing but its row of inputs and its weights.

#include <algorithm>

#include "kernels/amx/amx.h"
#include "kernels/amx/tiles.h"
#include "kernels/portable/portable.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/amx/panels.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"         // also provides the intrinsics
#include "kernels/amx/tiles-inl.h"
#include "kernels/portable/activation-inl.h"
#include "kernels/portable/quantize-inl.h"
#include "kernels/portable/simd-inl.h"

#if COMBINER_AVX512_TARGET
HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE::amx {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using Panels = PanelWeights::Panels;

constexpr int64_t kWidth = PanelWeights::kPanelWidth;
constexpr int64_t kTileSize = kTileRows * kTileBytes;  // in bytes
// Up to this many rows, weights are read once, in order, while the inputs stay in the L1 cache.
// With more rows, some of them stay in L1 while all weights pass, and the weights stay in L2.
constexpr int64_t kFewRows = 64;

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

// The activation functor of layers without an activation.
struct Identity {
  template <class D, class V>
  static HWY_INLINE V Value(D /*d*/, V v) {
    return v;
  }
};

// Element type of the sums of products with a type of weights.
template <class Weight>
using SumOf = std::conditional_t<std::is_same_v<Weight, int8_t>, int32_t, float>;

// Sums that are computed together: two tiles of rows by two panels, or one tile of rows by four
// panels.
template <class Weight>
struct alignas(64) Sums {
  SumOf<Weight> tile[4][kTileRows * kWidth];
};

COMBINER_AMX HWY_INLINE __m512 LoadSums(const float* from, __m512 /*scale*/) {
  return _mm512_load_ps(from);
}
COMBINER_AMX HWY_INLINE __m512 LoadSums(const int32_t* from, __m512 scale) {
  return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_load_si512(from)), scale);
}

// The outputs of one row in one panel, ready to be stored. Integer sums are multiplied by `scale`.
template <class Activate, bool kAccumulate, class Sum, class Y>
COMBINER_AMX HWY_INLINE __m512 Finished(const Sum* sums, __m512 scale, __m512 bias,
                                        __mmask16 columns, const Y* to) {
  __m512 value = LoadSums(sums, scale);
  if constexpr (kAccumulate) value = _mm512_add_ps(value, LoadColumns(columns, to));
  value = _mm512_add_ps(value, bias);
  return Activate::Value(hn::ScalableTag<float>(), hn::Vec512<float>{value}).raw;
}

// What all blocks of a product have in common.
template <class Weight, class Y>
struct Task {
  const Panels& weights;
  Matrix<const Weight> x;     // padded to whole tiles
  const float* input_scales;  // of each row of x, for integers only
  const Matrix<Y>& y;
  const Epilogue& epilogue;

  int64_t panel_bytes() const { return x.columns * static_cast<int64_t>(sizeof(Weight)) * kWidth; }
  const char* panel(int64_t p) const {
    return reinterpret_cast<const char*>(weights.values<Weight>().data()) + p * panel_bytes();
  }
  const char* inputs(int64_t row) const { return reinterpret_cast<const char*>(x.row(row)); }
  int64_t stride() const { return x.stride * static_cast<int64_t>(sizeof(Weight)); }
};

// Finishes the outputs of one or two panels: applies the epilogue to their sums and stores them.
template <class Activate, class Weight, class Y>
class Finisher {
  using Sum = SumOf<Weight>;

 public:
  COMBINER_AMX HWY_INLINE Finisher(const Task<Weight, Y>& task, int64_t panel, int64_t panels)
      : y_(task.y.data + panel * kWidth),
        stride_(task.y.stride),
        two_(panels > 1),
        accumulate_(task.epilogue.accumulate),
        input_scales_(task.input_scales) {
    for (int64_t p = 0; p < panels; ++p) {
      const int64_t at = (panel + p) * kWidth;
      mask_[p] = FirstLanes(task.weights.out - at).raw;
      biases_[p] =
          task.epilogue.bias ? LoadColumns(mask_[p], task.epilogue.bias + at) : _mm512_setzero_ps();
      if constexpr (kIntegers) scales_[p] = _mm512_load_ps(task.weights.scales.data() + at);
    }
  }

  // Finishes `rows` rows of y from `row` on. `first` and `second` are the sums of the two panels,
  // with row stride `stride`.
  COMBINER_AMX HWY_INLINE void Rows(const Sum* first, const Sum* second, int64_t stride,
                                    int64_t row, int64_t rows) const {
    if (accumulate_)
      AllRows<true>(first, second, stride, row, rows);
    else
      AllRows<false>(first, second, stride, row, rows);
  }

 private:
  static constexpr bool kIntegers = std::is_same_v<Weight, int8_t>;

  template <bool kAccumulate>
  COMBINER_AMX HWY_INLINE void AllRows(const Sum* HWY_RESTRICT first,
                                       const Sum* HWY_RESTRICT second, int64_t stride, int64_t row,
                                       int64_t rows) const {
    Y* to = y_ + row * stride_;
    for (int64_t i = 0; i < rows; ++i, to += stride_, first += stride, second += stride) {
      const __m512 left =
          Finished<Activate, kAccumulate>(first, Scale(0, row + i), biases_[0], mask_[0], to);
      if (!two_) {
        StoreColumns(mask_[0], left, to);
        continue;
      }
      const __m512 right = Finished<Activate, kAccumulate>(second, Scale(1, row + i), biases_[1],
                                                           mask_[1], to + kWidth);
      if (std::is_same_v<Y, bfloat16> && mask_[1] == 0xffff) {
        _mm512_storeu_si512(to, reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(right, left)));
      } else {
        StoreColumns(mask_[0], left, to);
        StoreColumns(mask_[1], right, to + kWidth);
      }
    }
  }

  COMBINER_AMX HWY_INLINE __m512 Scale(int panel, int64_t row) const {
    if constexpr (kIntegers)
      return _mm512_mul_ps(scales_[panel], _mm512_set1_ps(input_scales_[row]));
    else
      return _mm512_setzero_ps();
  }

  Y* y_;
  int64_t stride_;
  bool two_;
  bool accumulate_;
  __mmask16 mask_[2] = {};
  __m512 biases_[2] = {};
  __m512 scales_[2] = {};  // of the weights, for integers only
  const float* input_scales_;
};

// tile c += tile a x tile b. This is a macro because the intrinsics need tile numbers as constants.
#define COMBINER_MULTIPLY(c, a, b)                \
  if constexpr (std::is_same_v<Weight, bfloat16>) \
    _tile_dpbf16ps(c, a, b);                      \
  else                                            \
    _tile_dpbssd(c, a, b)

// Configures the tiles for blocks of `rows` rows, which are one or two tiles. Tiles 0 to 3 hold
// sums. With two tiles of rows, 4 and 5 hold inputs and 6 and 7 weights; with one, 4 holds inputs
// and 5 to 7 weights.
COMBINER_AMX HWY_INLINE void ShapeTiles(int64_t rows) {
  const int64_t upper = std::min(rows, kTileRows);
  const int64_t lower = rows - upper;
  TileShapes shapes;
  for (int tile = 0; tile < 8; ++tile) shapes.set(tile, kTileRows);
  for (int tile = 0; tile < 4; ++tile) shapes.set(tile, tile < 2 || lower == 0 ? upper : lower);
  shapes.set(4, upper);
  if (lower > 0) shapes.set(5, lower);
  shapes.finish_stores();
  _tile_loadconfig(&shapes);
}

// A block whose sums, [rows, kSumsStride], are computed but whose outputs are not finished. It has
// more than one tile of rows, and one or two panels.
template <class Weight>
struct PendingBlock {
  const SumOf<Weight>* sums = nullptr;
  int64_t row = 0;
  int64_t rows = 0;
  int64_t panel = 0;
  int64_t panels = 0;
};
constexpr int64_t kSumsStride = 2 * kWidth;

// Finishes rows `first` to `last` - 1 of a block, as far as it has them.
template <class Activate, class Weight, class Y>
COMBINER_AMX HWY_INLINE void FinishBlock(const PendingBlock<Weight>& block,
                                         const Finisher<Activate, Weight, Y>& finisher,
                                         int64_t first, int64_t last) {
  const SumOf<Weight>* sums = block.sums + first * kSumsStride;
  finisher.Rows(sums, sums + kWidth, kSumsStride, block.row + first,
                std::min(last, block.rows) - first);
}

// Prefetches the lines of y to which rows `first` to `last` - 1 of a block of two panels will be
// stored or added. They may be far from the cache, and the rows are too many streams for the
// hardware prefetcher.
template <class Y>
COMBINER_AMX HWY_INLINE void FetchOutputs(const Matrix<Y>& y, int64_t panel, int64_t first,
                                          int64_t last) {
  constexpr int64_t kLine = kTileBytes / static_cast<int64_t>(sizeof(Y));
  for (int64_t i = first; i < last; ++i)
    for (int64_t j = 0; j < 2 * kWidth; j += kLine)
      __builtin_prefetch(y.row(i) + panel * kWidth + j, 1);
}

// Multiplies more than one tile of rows, from `row` on, by one or two panels. Meanwhile it finishes
// the block `before`, a few rows at a time: tile and vector units work at the same time if both
// have instructions at hand. The Finisher is constructed here, not kept with the block, because a
// struct that is stored in pieces and loaded whole stalls until all earlier stores, including those
// of the sums, have reached the cache.
template <class Activate, int kPanels, class Weight, class Y>
COMBINER_AMX HWY_INLINE void MultiplyTwoTiles(const Task<Weight, Y>& task, int64_t row,
                                              int64_t rows, int64_t panel, Sums<Weight>& sums,
                                              const PendingBlock<Weight> before) {
  const char* upper = task.inputs(row);
  const char* lower = task.inputs(row + kTileRows);
  const int64_t stride = task.stride();
  const char* first = task.panel(panel);
  const char* second = task.panel(panel + 1);
  const int64_t bytes = task.panel_bytes();
  const int64_t steps = bytes / kTileSize;
  const int64_t rows_per_step = (before.rows + steps - 1) / steps;
  const int64_t fetched_rows_per_step = (rows + steps - 1) / steps;
  const Finisher<Activate, Weight, Y> finisher(task, before.panel, before.panels);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (int64_t step = 0; step < steps; ++step) {
    const int64_t k = step * kTileBytes;
    const int64_t at = step * kTileSize;
    _tile_loadd(4, upper + k, stride);
    _tile_loadd(6, first + at, kTileBytes);
    COMBINER_MULTIPLY(0, 4, 6);
    if constexpr (kPanels > 1) {
      _tile_loadd(7, second + at, kTileBytes);
      COMBINER_MULTIPLY(1, 4, 7);
    }
    // Here the vector work can start while the products above wait for each other.
    FinishBlock(before, finisher, step * rows_per_step, (step + 1) * rows_per_step);
    _tile_loadd(5, lower + k, stride);
    COMBINER_MULTIPLY(2, 5, 6);
    if constexpr (kPanels > 1) COMBINER_MULTIPLY(3, 5, 7);
    FetchOutputs(task.y, panel, row + std::min(step * fetched_rows_per_step, rows),
                 row + std::min((step + 1) * fetched_rows_per_step, rows));
  }
  _tile_stored(0, sums.tile[0], 2 * kTileBytes);
  _tile_stored(1, sums.tile[0] + kWidth, 2 * kTileBytes);
  _tile_stored(2, sums.tile[2], 2 * kTileBytes);
  _tile_stored(3, sums.tile[2] + kWidth, 2 * kTileBytes);
}

// Multiplies up to one tile of rows, from `row` on, by one or four panels.
template <int kPanels, class Weight, class Y>
COMBINER_AMX HWY_INLINE void MultiplyOneTile(const Task<Weight, Y>& task, int64_t row,
                                             int64_t panel, Sums<Weight>& sums) {
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
    COMBINER_MULTIPLY(0, 4, 5);
    if constexpr (kPanels > 1) {
      _tile_loadd(6, panels + bytes + at, kTileBytes);
      COMBINER_MULTIPLY(1, 4, 6);
      _tile_loadd(7, panels + 2 * bytes + at, kTileBytes);
      COMBINER_MULTIPLY(2, 4, 7);
      _tile_loadd(5, panels + 3 * bytes + at, kTileBytes);
      COMBINER_MULTIPLY(3, 4, 5);
    }
  }
  _tile_stored(0, sums.tile[0], kTileBytes);
  _tile_stored(1, sums.tile[1], kTileBytes);
  _tile_stored(2, sums.tile[2], kTileBytes);
  _tile_stored(3, sums.tile[3], kTileBytes);
}

// Computes blocks in a pipeline: the products of one overlap with finishing the previous one. Two
// sets of sums alternate.
template <class Activate, class Weight, class Y>
class BlockPipeline {
 public:
  explicit BlockPipeline(const Task<Weight, Y>& task) : task_(task) {}

  // Computes `rows` rows, from `row` on, of the panels in `range`.
  COMBINER_AMX HWY_INLINE void Run(int64_t row, int64_t rows, PanelRange range) {
    if (rows != configured_rows_) ShapeTiles(configured_rows_ = rows);
    int64_t p = range.first;
    if (rows > kTileRows) {
      for (; p + 2 <= range.last; p += 2) RunTwoTiles<2>(row, rows, p);
      if (p < range.last) RunTwoTiles<1>(row, rows, p);
    } else {
      FinishPending();
      for (; p + 4 <= range.last; p += 4) RunOneTile<4>(row, rows, p);
      for (; p < range.last; ++p) RunOneTile<1>(row, rows, p);
    }
  }

  COMBINER_AMX HWY_INLINE void End() {
    FinishPending();
    _tile_release();
  }

 private:
  COMBINER_AMX HWY_INLINE void FinishPending() {
    FinishBlock(pending_, Finisher<Activate, Weight, Y>(task_, pending_.panel, pending_.panels), 0,
                pending_.rows);
    pending_ = {};
  }
  template <int kPanels>
  COMBINER_AMX HWY_INLINE void RunTwoTiles(int64_t row, int64_t rows, int64_t panel) {
    Sums<Weight>& sums = sums_[turn_ ^= 1];
    MultiplyTwoTiles<Activate, kPanels>(task_, row, rows, panel, sums, pending_);
    pending_ = {sums.tile[0], row, rows, panel, kPanels};
  }
  template <int kPanels>
  COMBINER_AMX HWY_INLINE void RunOneTile(int64_t row, int64_t rows, int64_t panel) {
    Sums<Weight>& sums = sums_[turn_ ^= 1];
    MultiplyOneTile<kPanels>(task_, row, panel, sums);
    for (int p = 0; p < kPanels; p += 2)
      Finisher<Activate, Weight, Y>(task_, panel + p, std::min(kPanels, 2))
          .Rows(sums.tile[p], sums.tile[p + 1], kWidth, row, rows);
  }

  const Task<Weight, Y>& task_;
  PendingBlock<Weight> pending_;
  Sums<Weight> sums_[2];
  int turn_ = 0;
  int64_t configured_rows_ = 0;
};

template <class Activate, class Weight, class Y>
COMBINER_AMX void MultiplyBlocks(const Task<Weight, Y>& task, PanelRange range) {
  constexpr int64_t kBlockRows = 2 * kTileRows;
  const int64_t all = task.x.rows;
  const int64_t panels = all > kFewRows ? range.last - range.first : all > kTileRows ? 2 : 4;
  BlockPipeline<Activate, Weight, Y> pipeline(task);
  for (int64_t p = range.first; p < range.last; p += panels)
    for (int64_t row = 0; row < all; row += kBlockRows)
      pipeline.Run(row, std::min(kBlockRows, all - row), {p, std::min(p + panels, range.last)});
  pipeline.End();
}

// x, padded with zeros to `columns` columns if necessary.
template <class T>
Matrix<const T> Padded(const Matrix<const T>& x, int64_t columns, Scratch& scratch) {
  if (x.columns == columns) return x;
  const Matrix<T> padded(scratch.reserve<T>(static_cast<size_t>(x.rows * columns)), x.rows,
                         columns);
  for (int64_t i = 0; i < x.rows; ++i)
    std::fill(std::copy_n(x.row(i), x.columns, padded.row(i)), padded.row(i) + columns, T{});
  return padded;
}

// Rows of inputs as 8-bit integers, padded with zeros, and the scale of each row.
struct QuantizedInputs {
  Matrix<const int8_t> rows;
  const float* scales;
};
template <class X>
QuantizedInputs Quantized(const Matrix<const X>& x, int64_t columns, Scratch& scratch) {
  const auto size = static_cast<size_t>(x.rows * columns);
  auto* memory = scratch.reserve<std::byte>(size + static_cast<size_t>(x.rows) * sizeof(float));
  const Matrix<int8_t> rows(reinterpret_cast<int8_t*>(memory), x.rows, columns);
  auto* scales = reinterpret_cast<float*>(memory + size);
  for (int64_t i = 0; i < x.rows; ++i) {
    scales[i] = QuantizedScale(x.row(i), x.columns);
    Quantize(x.row(i), x.columns, scales[i], rows.row(i));
    std::fill(rows.row(i) + x.columns, rows.row(i) + columns, int8_t{0});
  }
  return {rows, scales};
}

template <class Activate, class X, class Y>
void MultiplyAndActivate(const Matrix<const X>& x, const Panels& weights, const Matrix<Y>& y,
                         const Epilogue& epilogue, PanelRange range, Scratch& scratch) {
  if (!weights.int8.empty()) {
    const auto [rows, scales] = Quantized(x, weights.depth(), scratch);
    finish_stores_for_tiles();
    MultiplyBlocks<Activate>(Task<int8_t, Y>{weights, rows, scales, y, epilogue}, range);
  } else if constexpr (std::is_same_v<X, bfloat16>) {
    const auto padded = Padded(x, weights.depth(), scratch);
    finish_stores_for_tiles();
    MultiplyBlocks<Activate>(Task<bfloat16, Y>{weights, padded, nullptr, y, epilogue}, range);
  }
}

template <class X, class Y>
void MultiplyTiles(const Matrix<const X>& x, const Panels& weights, const Matrix<Y>& y,
                   const Epilogue& epilogue, PanelRange range, Scratch& scratch) {
  if (!epilogue.activation)
    MultiplyAndActivate<Identity>(x, weights, y, epilogue, range, scratch);
  else if (*epilogue.activation == Activation::relu)
    MultiplyAndActivate<Relu<Y>>(x, weights, y, epilogue, range, scratch);
  else
    MultiplyAndActivate<Gelu<Y>>(x, weights, y, epilogue, range, scratch);
}

}  // namespace
}  // namespace combiner::HWY_NAMESPACE::amx
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE && COMBINER_AVX512_KERNELS
namespace combiner::amx {

const PanelKernel& bfloat16_panels() {
  constexpr int64_t kGroup = 2;
  static const PanelKernel kernel = {kGroup,
                                     kGroup * kTileRows,
                                     false,
                                     portable::bfloat16_panels().float_to_float,
                                     N_AVX3::amx::MultiplyTiles<bfloat16, float>,
                                     N_AVX3::amx::MultiplyTiles<bfloat16, bfloat16>};
  return kernel;
}

const PanelKernel& int8_panels() {
  constexpr int64_t kGroup = 4;
  static const PanelKernel kernel = {kGroup,
                                     kGroup * kTileRows,
                                     false,
                                     N_AVX3::amx::MultiplyTiles<float, float>,
                                     N_AVX3::amx::MultiplyTiles<bfloat16, float>,
                                     N_AVX3::amx::MultiplyTiles<bfloat16, bfloat16>};
  return kernel;
}

}  // namespace combiner::amx
#endif
