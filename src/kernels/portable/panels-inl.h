// Products of panels, for kernels that differ in one step: how some weights of each output are
// multiplied by as many inputs and added to a vector of sums. Compiled once per instruction set.

#if defined(COMBINER_KERNELS_PORTABLE_PANELS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef COMBINER_KERNELS_PORTABLE_PANELS_INL_H_
#undef COMBINER_KERNELS_PORTABLE_PANELS_INL_H_
#else
#define COMBINER_KERNELS_PORTABLE_PANELS_INL_H_
#endif

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <type_traits>

#include "cpu/avx512.h"
#include "kernels/panels_storage.h"
#include "kernels/portable/activation-inl.h"
#include "kernels/portable/quantize-inl.h"
#include "kernels/portable/simd-inl.h"

HWY_BEFORE_NAMESPACE();
// Steps are inlined, so what calls them must be compiled for the instructions that they use.
#if COMBINER_AVX512_TARGET && defined(COMBINER_PANELS_AVX512_BF16)
HWY_PUSH_ATTRIBUTES("avx512bf16,avx512vnni")
#endif
namespace combiner::HWY_NAMESPACE {
// Several files compile these functions, with different instructions, so each needs its own.
namespace {
namespace hn = hwy::HWY_NAMESPACE;

using FloatTag = hn::ScalableTag<float>;
using FloatVector = hn::Vec<FloatTag>;

constexpr int64_t kWidth = PanelWeights::kPanelWidth;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(FloatTag()));
constexpr int kVectors = static_cast<int>(kWidth) / kLanes;  // per panel

// A product is computed in blocks of kSums vectors of sums, each of which is one chain of
// multiply-adds. The chains hide the latency of a multiply-add, and together with their operands
// they fill the registers: 16, or 32 with AVX-512.
constexpr int kSums = HWY_CAP_GE512 ? 28 : 12;
// Rows of a block, for weights that take `registers` of them.
constexpr int max_rows(int registers) {
  return std::clamp(kSums / kVectors, 1, HWY_CAP_GE512 ? 14 : registers > 1 ? 5 : 6);
}
// The fewer the rows, the more panels are read side by side.
constexpr int panels_at_once(int rows) {
  const int most = std::clamp(kSums / (rows * kVectors), 1, 4);
  return static_cast<int>(std::bit_floor(static_cast<unsigned>(most)));
}

// Block sizes. A few panels are read once for many rows; their sums stay in the L1 cache.
constexpr int64_t kRowsAtOnce = 128;
constexpr int64_t kPanelsAtOnce = 4;
constexpr int64_t kColumnsAtOnce = kPanelsAtOnce * kWidth;

// A Step multiplies kDepths weights of each output by as many inputs of a row, and adds the
// products to a vector of sums. It defines:
//   Weight, Input      the elements of panels and of rows of inputs
//   kDepths            per step
//   kMaxRows           of a block, by max_rows()
//   Sum                the sums of kLanes outputs
//   Weights(from), Inputs(from)  load the factors
//   Add(inputs, weights, sum)
//   Begin(first, sums, offsets), End(sum, scale, first, sums)
// Begin and End bracket a block of depths. The sums of the first block are stored as floats; those
// of later blocks are added to them.

// Sums that are floats all along.
struct FloatSums {
  using Sum = FloatVector;
  static HWY_INLINE Sum Begin(bool first, const float* sums, const int32_t* /*offsets*/) {
    const FloatTag d;
    return first ? hn::Zero(d) : hn::Load(d, sums);
  }
  static HWY_INLINE void End(Sum sum, float /*scale*/, bool /*first*/, float* sums) {
    hn::Store(sum, FloatTag(), sums);
  }
};

// Adds the exact integer sums of a block of depths, times `scale`, to `sums`.
HWY_INLINE void EndIntegers(hn::Vec<hn::ScalableTag<int32_t>> integers, float scale, bool first,
                            float* sums) {
  const FloatTag d;
  const auto before = first ? hn::Zero(d) : hn::Load(d, sums);
  hn::Store(hn::MulAdd(hn::ConvertTo(d, integers), hn::Set(d, scale), before), d, sums);
}

// A range of depths of rows of inputs, in the form that a step reads and padded to whole steps, and
// the factors of the rows' sums.
template <class S>
struct Inputs {
  Matrix<const typename S::Input> rows;
  const float* scales = nullptr;  // [rows], for integers only
  bool first = true;              // whether the range is the first

  Inputs block(int64_t from, int64_t count) const {
    return {rows.row_block(from, count), scales ? scales + from : nullptr, first};
  }
  float scale(int64_t i) const { return scales ? scales[i] : 1.0f; }
};

// The same range of depths of consecutive panels.
template <class S>
struct PanelSlice {
  const typename S::Weight* data;
  int64_t panel_size;  // elements from one panel to the next
  int64_t count;
  const int32_t* offsets;  // [count, kWidth], or null

  PanelSlice from(int64_t panel, int64_t panels) const {
    return {data + panel * panel_size, panel_size, panels,
            offsets ? offsets + panel * kWidth : nullptr};
  }
  PanelSlice from(int64_t panel) const { return from(panel, count - panel); }
};

// Adds the products of kRows rows of x and the first kPanels panels to `sums`
// [kRows, kPanels * kWidth], with rows kColumnsAtOnce apart. The products of the first depths
// replace what is there.
template <class S, int kRows, int kPanels>
HWY_INLINE void AddBlock(const Inputs<S>& x, const PanelSlice<S>& panels,
                         float* HWY_RESTRICT sums) {
  typename S::Sum sum[kRows][kPanels][kVectors];
  HWY_UNROLL(16)
  for (int i = 0; i < kRows; ++i) {
    HWY_UNROLL(8)
    for (int p = 0; p < kPanels; ++p) {
      HWY_UNROLL(16)
      for (int v = 0; v < kVectors; ++v) {
        const int at = p * static_cast<int>(kWidth) + v * kLanes;
        sum[i][p][v] = S::Begin(x.first, sums + i * kColumnsAtOnce + at,
                                panels.offsets ? panels.offsets + at : nullptr);
      }
    }
  }
  const typename S::Weight* HWY_RESTRICT data = panels.data;
  // The shorter side of the block stays in registers; the longer side is read as it is used.
  for (int64_t k = 0; k < x.rows.columns; k += S::kDepths) {
    const auto weights = [&](int p, int v) HWY_ATTR {
      return S::Weights(data + p * panels.panel_size + k * kWidth + v * kLanes * S::kDepths);
    };
    const auto inputs = [&](int i)
                            HWY_ATTR { return S::Inputs(x.rows.data + i * x.rows.stride + k); };
    if constexpr (kRows <= kPanels * kVectors) {
      decltype(inputs(0)) rows[kRows];
      HWY_UNROLL(16)
      for (int i = 0; i < kRows; ++i) rows[i] = inputs(i);
      HWY_UNROLL(8)
      for (int p = 0; p < kPanels; ++p) {
        HWY_UNROLL(16)
        for (int v = 0; v < kVectors; ++v) {
          const auto w = weights(p, v);
          HWY_UNROLL(16)
          for (int i = 0; i < kRows; ++i) sum[i][p][v] = S::Add(rows[i], w, sum[i][p][v]);
        }
      }
    } else {
      decltype(weights(0, 0)) w[kPanels][kVectors];
      HWY_UNROLL(8)
      for (int p = 0; p < kPanels; ++p) {
        HWY_UNROLL(16)
        for (int v = 0; v < kVectors; ++v) w[p][v] = weights(p, v);
      }
      HWY_UNROLL(16)
      for (int i = 0; i < kRows; ++i) {
        const auto row = inputs(i);
        HWY_UNROLL(8)
        for (int p = 0; p < kPanels; ++p) {
          HWY_UNROLL(16)
          for (int v = 0; v < kVectors; ++v) sum[i][p][v] = S::Add(row, w[p][v], sum[i][p][v]);
        }
      }
    }
  }
  HWY_UNROLL(16)
  for (int i = 0; i < kRows; ++i) {
    HWY_UNROLL(8)
    for (int p = 0; p < kPanels; ++p) {
      HWY_UNROLL(16)
      for (int v = 0; v < kVectors; ++v)
        S::End(sum[i][p][v], x.scale(i), x.first,
               sums + i * kColumnsAtOnce + p * kWidth + v * kLanes);
    }
  }
}

// The same for all panels, kPanels at a time while that many are left.
template <class S, int kRows, int kPanels>
void AddPanels(const Inputs<S>& x, const PanelSlice<S>& panels, float* sums) {
  int64_t p = 0;
  for (; p + kPanels <= panels.count; p += kPanels)
    AddBlock<S, kRows, kPanels>(x, panels.from(p), sums + p * kWidth);
  if constexpr (kPanels > 1)
    if (p < panels.count) AddPanels<S, kRows, kPanels / 2>(x, panels.from(p), sums + p * kWidth);
}

// The same for any number of rows up to kRows.
template <class S, int kRows = S::kMaxRows>
HWY_INLINE void AddRows(const Inputs<S>& x, const PanelSlice<S>& panels, float* sums) {
  if constexpr (kRows > 1)
    if (x.rows.rows < kRows) return AddRows<S, kRows - 1>(x, panels, sums);
  AddPanels<S, kRows, panels_at_once(kRows)>(x, panels, sums);
}

// The same for any number of rows, in groups that are as equal as possible.
template <class S>
void AddRowGroups(const Inputs<S>& x, const PanelSlice<S>& panels, float* sums) {
  const int64_t all = x.rows.rows;
  int64_t i = 0;
  for (int64_t groups = (all + S::kMaxRows - 1) / S::kMaxRows; groups > 0; --groups) {
    const int64_t rows = (all - i + groups - 1) / groups;
    AddRows(x.block(i, rows), panels, sums + i * kColumnsAtOnce);
    i += rows;
  }
}

// Applies the activation, if any, to outputs of a layer that will be stored as Y. They are rounded
// to Y first, so that the result is the same as if the activation read stored outputs.
template <class Y, class D, class V>
HWY_INLINE V Activated(D d, std::optional<Activation> activation, V v) {
  if (!activation) return v;
  if constexpr (std::is_same_v<Y, bfloat16>)
    v = hn::BitCast(d, hn::ShiftLeft<16>(Bfloat16Bits(d, v)));
  if (*activation == Activation::relu) return Relu<Y>::Value(d, v);
  return Gelu<Y>::Value(d, v);
}

// y[kWidth] = sums, times `scales` if not null, followed by the epilogue with `bias` as its bias.
template <class Y>
HWY_INLINE void FinishPanel(const float* sums, const float* scales, const float* bias,
                            const Epilogue& epilogue, Y* y) {
  const FloatTag d;
  for (int64_t j = 0; j < kWidth; j += kLanes) {
    auto value = hn::Load(d, sums + j);
    if (scales) value = hn::Mul(value, hn::Load(d, scales + j));
    if (epilogue.accumulate) value = hn::Add(value, LoadFloats(d, y + j));
    if (bias) value = hn::Add(value, hn::LoadU(d, bias + j));
    StoreFloats(d, Activated<Y>(d, epilogue.activation, value), y + j);
  }
}

// The same for any number of columns. `sums` and `scales` are padded to whole panels.
template <class Y>
HWY_INLINE void Finish(const float* sums, const float* scales, const float* bias,
                       const Epilogue& epilogue, int64_t columns, Y* y) {
  int64_t j = 0;
  const auto from = [&](const float* values) { return values ? values + j : nullptr; };
  for (; j + kWidth <= columns; j += kWidth)
    FinishPanel(sums + j, from(scales), from(bias), epilogue, y + j);
  if (j == columns) return;
  float last_bias[kWidth] = {};
  Y last[kWidth] = {};
  if (bias) std::copy_n(bias + j, columns - j, last_bias);
  std::copy_n(y + j, columns - j, last);
  FinishPanel(sums + j, from(scales), bias ? last_bias : nullptr, epilogue, last);
  std::copy_n(last, columns - j, y + j);
}

// A row's elements in the form that steps read. Integers are the nearest to from / scale.
HWY_INLINE void Convert(const float* from, int64_t count, float /*scale*/, float* to) {
  ScaleToFloat(from, count, 1.0f, to);
}
HWY_INLINE void Convert(const bfloat16* from, int64_t count, float /*scale*/, float* to) {
  ScaleToFloat(from, count, 1.0f, to);
}
HWY_INLINE void Convert(const bfloat16* from, int64_t count, float /*scale*/, bfloat16* to) {
  std::copy_n(from, count, to);
}
template <class X>
HWY_INLINE void Convert(const X* from, int64_t count, float scale, int16_t* to) {
  Quantize(from, count, scale, to);
}
// Unsigned bytes stand for integers that are less by 128.
template <class X>
HWY_INLINE void Convert(const X* from, int64_t count, float scale, uint8_t* to) {
  Quantize(from, count, scale, reinterpret_cast<int8_t*>(to));
  for (int64_t j = 0; j < count; ++j) to[j] ^= 0x80;
}

// Rows of inputs in the form that steps read, with all depths.
template <class S>
class InputBlocks {
  using Input = typename S::Input;

 public:
  // Valid only while x is, and until `scratch` is used again.
  template <class X>
  InputBlocks(const Matrix<const X>& x, Scratch& scratch) : rows_(x.rows) {
    const int64_t whole = round_up(x.columns, S::kDepths);
    if constexpr (std::is_same_v<X, Input>)
      if (whole == x.columns) {
        as_given_ = x;
        return;
      }
    const int64_t values = round_up(rows_ * whole * static_cast<int64_t>(sizeof(Input)),
                                    static_cast<int64_t>(sizeof(float)));
    std::byte* memory = scratch.reserve<std::byte>(
        static_cast<size_t>(values + rows_ * static_cast<int64_t>(sizeof(float))));
    values_ = reinterpret_cast<Input*>(memory);
    if constexpr (kIntegers) {
      scales_ = reinterpret_cast<float*>(memory + values);
      for (int64_t i = 0; i < rows_; ++i) scales_[i] = QuantizedScale(x.row(i), x.columns);
    }
    for (int64_t k = 0; k < x.columns; k += kPanelDepthAtOnce)
      convert(x.column_block(k, std::min(kPanelDepthAtOnce, x.columns - k)), k);
  }

  // Depths k to k + depth - 1. k is a multiple of kPanelDepthAtOnce, and depth is at most that.
  Inputs<S> depths(int64_t k, int64_t depth) const {
    if (as_given_.data) return {as_given_.column_block(k, depth), nullptr, k == 0};
    return {block(k, depth), scales_, k == 0};
  }

 private:
  static constexpr bool kIntegers = std::is_integral_v<Input>;

  // The rows of a block are contiguous.
  Matrix<Input> block(int64_t k, int64_t depth) const {
    return {values_ + rows_ * k, rows_, round_up(depth, S::kDepths)};
  }

  template <class X>
  void convert(const Matrix<const X>& x, int64_t k) const {
    const Matrix<Input> to = block(k, x.columns);
    for (int64_t i = 0; i < rows_; ++i) {
      Convert(x.row(i), x.columns, kIntegers ? scales_[i] : 1.0f, to.row(i));
      std::fill(to.row(i) + x.columns, to.row(i) + to.columns, Input{});
    }
  }

  int64_t rows_;
  Matrix<const Input> as_given_;
  Input* values_ = nullptr;
  float* scales_ = nullptr;  // [rows], for integers only
};

template <class S, class X, class Y>
void Multiply(const Matrix<const X>& x, const PanelWeights::Panels& weights, const Matrix<Y>& y,
              const Epilogue& epilogue, PanelRange range, Scratch& scratch) {
  HWY_ALIGN float sums[kRowsAtOnce * kColumnsAtOnce];
  const typename S::Weight* data = weights.values<typename S::Weight>().data();
  const int64_t panel_size = weights.depth() * kWidth;
  for (int64_t i = 0; i < x.rows; i += kRowsAtOnce) {
    const int64_t rows = std::min(kRowsAtOnce, x.rows - i);
    const InputBlocks<S> inputs(x.row_block(i, rows), scratch);
    const int64_t at_once = rows > S::kMaxRows ? panels_at_once(S::kMaxRows) : kPanelsAtOnce;
    for (int64_t p = range.first; p < range.last; p += at_once) {
      const int64_t count = std::min(at_once, range.last - p);
      const int64_t first = p * kWidth;
      const int32_t* offsets = weights.offsets.empty() ? nullptr : weights.offsets.data() + first;
      for (int64_t k = 0; k < weights.in; k += kPanelDepthAtOnce) {
        AddRowGroups(inputs.depths(k, std::min(kPanelDepthAtOnce, weights.in - k)),
                     PanelSlice<S>{data + p * panel_size + k * kWidth, panel_size, count, offsets},
                     sums);
        if (offsets) offsets += weights.padded_out();
      }
      const int64_t columns = std::min(count * kWidth, weights.out - first);
      const float* scales = weights.scales.empty() ? nullptr : weights.scales.data() + first;
      for (int64_t r = 0; r < rows; ++r)
        Finish(sums + r * kColumnsAtOnce, scales, epilogue.bias ? epilogue.bias + first : nullptr,
               epilogue, columns, y.row(i + r) + first);
    }
  }
}

template <class S>
const PanelKernel& KernelOf() {
  static constexpr PanelKernel kernel = {S::kDepths,
                                         S::kDepths,
                                         std::is_same_v<typename S::Input, uint8_t>,
                                         Multiply<S, float, float>,
                                         Multiply<S, bfloat16, float>,
                                         Multiply<S, bfloat16, bfloat16>};
  return kernel;
}

}  // namespace
}  // namespace combiner::HWY_NAMESPACE
#if COMBINER_AVX512_TARGET && defined(COMBINER_PANELS_AVX512_BF16)
HWY_POP_ATTRIBUTES
#endif
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
