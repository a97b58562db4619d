#include "kernels/panels.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "kernels/panels_storage.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/panels.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/panels-inl.h"
#include "kernels/quantize-inl.h"
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int kVectors = static_cast<int>(kWidth) / kLanes;  // per panel

// A product is computed in blocks of kSums vectors of sums, each of which is one chain of
// multiply-adds. Twelve chains hide the latency of a multiply-add, and together with their operands
// they fill sixteen registers.
constexpr int kSums = 12;
template <class Weight>
constexpr int kMaxRows = std::clamp(kSums / kVectors, 1, std::is_same_v<Weight, bfloat16> ? 5 : 6);
// The fewer the rows, the more panels are read side by side.
constexpr int panels_at_once(int rows) {
  const int most = std::clamp(kSums / (rows * kVectors), 1, 4);
  return static_cast<int>(std::bit_floor(static_cast<unsigned>(most)));
}

// Block sizes. A panel of depth kDepthAtOnce takes half of the L1 cache and stays there while all
// rows pass over it.
constexpr int64_t kRowsAtOnce = 48;
constexpr int64_t kPanelsAtOnce = 16;
constexpr int64_t kColumnsAtOnce = kPanelsAtOnce * kWidth;
constexpr int64_t kDepthAtOnce = 256;

// How weights of a type are multiplied. A step multiplies `kDepths` weights of each output by as
// many inputs of a row, and adds the products to a vector of sums. The sums of the first block of
// depths are stored as floats; those of later blocks are added to them.
template <class Weight>
struct Step;

using FloatVector = hn::Vec<hn::ScalableTag<float>>;

struct FloatStep {
  using Input = float;
  using Sum = FloatVector;
  static HWY_INLINE Sum Begin(bool first, const float* sums) {
    const hn::ScalableTag<float> d;
    return first ? hn::Zero(d) : hn::Load(d, sums);
  }
  static HWY_INLINE void End(Sum sum, float /*scale*/, bool /*first*/, float* sums) {
    hn::Store(sum, hn::ScalableTag<float>(), sums);
  }
};

template <>
struct Step<float> : FloatStep {
  static constexpr int64_t kDepths = 1;
  static HWY_INLINE FloatVector Weights(const float* from) {
    return hn::Load(hn::ScalableTag<float>(), from);
  }
  static HWY_INLINE FloatVector Inputs(const float* x) {
    return hn::Set(hn::ScalableTag<float>(), *x);
  }
  static HWY_INLINE Sum Add(FloatVector inputs, FloatVector weights, Sum sum) {
    return hn::MulAdd(inputs, weights, sum);
  }
};

template <>
struct Step<bfloat16> : FloatStep {
  static constexpr int64_t kDepths = 2;
  struct Pair {
    FloatVector even, odd;
  };
  static HWY_INLINE Pair Weights(const bfloat16* from) {
    const hn::ScalableTag<float> d;
    const hn::ScalableTag<uint32_t> du32;
    const auto bits = hn::Load(du32, reinterpret_cast<const uint32_t*>(from));
    return {hn::BitCast(d, hn::ShiftLeft<16>(bits)),
            hn::BitCast(d, hn::And(bits, hn::Set(du32, 0xffff0000u)))};
  }
  static HWY_INLINE Pair Inputs(const float* x) {
    const hn::ScalableTag<float> d;
    return {hn::Set(d, x[0]), hn::Set(d, x[1])};
  }
  static HWY_INLINE Sum Add(const Pair& inputs, const Pair& weights, Sum sum) {
    return hn::MulAdd(inputs.odd, weights.odd, hn::MulAdd(inputs.even, weights.even, sum));
  }
};

// The inputs are integers too, of 8 bits stored in 16, because processors multiply pairs of these
// twice as fast as floats. The sums are exact.
template <>
struct Step<int8_t> {
  static constexpr int64_t kDepths = 2;
  using Input = int16_t;
  using Integers = hn::Vec<hn::ScalableTag<int32_t>>;
  struct Sum {
    Integers first, second;  // the processor decides which products of a pair go into which
  };
#if HWY_TARGET == HWY_SCALAR
  struct Pairs {
    int32_t even, odd;
  };
  static HWY_INLINE Pairs Weights(const int8_t* from) { return {from[0], from[1]}; }
  static HWY_INLINE Pairs Inputs(const int16_t* x) { return {x[0], x[1]}; }
  static HWY_INLINE Sum Add(Pairs inputs, Pairs weights, Sum sum) {
    sum.first.raw += inputs.even * weights.even + inputs.odd * weights.odd;
    return sum;
  }
#else
  using Pairs = hn::Vec<hn::ScalableTag<int16_t>>;
  static HWY_INLINE Pairs Weights(const int8_t* from) {
    const hn::ScalableTag<int16_t> di16;
    return hn::PromoteTo(di16, hn::LoadU(hn::Rebind<int8_t, decltype(di16)>(), from));
  }
  static HWY_INLINE Pairs Inputs(const int16_t* x) {
    int32_t pair;
    std::memcpy(&pair, x, sizeof(pair));
    return hn::BitCast(hn::ScalableTag<int16_t>(), hn::Set(hn::ScalableTag<int32_t>(), pair));
  }
  static HWY_INLINE Sum Add(Pairs inputs, Pairs weights, Sum sum) {
    const hn::ScalableTag<int32_t> di32;
    sum.first = hn::ReorderWidenMulAccumulate(di32, inputs, weights, sum.first, sum.second);
    return sum;
  }
#endif
  static HWY_INLINE Sum Begin(bool /*first*/, const float* /*sums*/) {
    const hn::ScalableTag<int32_t> di32;
    return {hn::Zero(di32), hn::Zero(di32)};
  }
  static HWY_INLINE void End(const Sum& sum, float scale, bool first, float* sums) {
    const hn::ScalableTag<float> d;
    const auto before = first ? hn::Zero(d) : hn::Load(d, sums);
    const auto integers = hn::RearrangeToOddPlusEven(sum.first, sum.second);
    hn::Store(hn::MulAdd(hn::ConvertTo(d, integers), hn::Set(d, scale), before), d, sums);
  }
};

// Rows of inputs in the form that a step reads: a range of depths, padded to whole steps, and the
// factors of the rows' sums.
template <class Weight>
struct Inputs {
  Matrix<const typename Step<Weight>::Input> rows;
  const float* scales = nullptr;  // [rows], for integers only
  bool first = true;              // whether the range is the first

  Inputs block(int64_t from, int64_t count) const {
    return {rows.row_block(from, count), scales ? scales + from : nullptr, first};
  }
  float scale(int64_t i) const { return scales ? scales[i] : 1.0f; }
};

// Adds the products of kRows rows of x and kPanels panels, `panel_size` elements apart, to `sums`
// [kRows, kPanels * kWidth], with rows kColumnsAtOnce apart. The products of the first depths
// replace what is there.
template <int kRows, int kPanels, class Weight>
HWY_INLINE void AddBlock(const Inputs<Weight>& x, const Weight* HWY_RESTRICT panels,
                         int64_t panel_size, float* HWY_RESTRICT sums) {
  using S = Step<Weight>;
  typename S::Sum sum[kRows][kPanels][kVectors];
  HWY_UNROLL(8)
  for (int i = 0; i < kRows; ++i) {
    HWY_UNROLL(8)
    for (int p = 0; p < kPanels; ++p) {
      HWY_UNROLL(16)
      for (int v = 0; v < kVectors; ++v)
        sum[i][p][v] = S::Begin(x.first, sums + i * kColumnsAtOnce + p * kWidth + v * kLanes);
    }
  }
  // The shorter side of the block stays in registers; the longer side is read as it is used.
  for (int64_t k = 0; k < x.rows.columns; k += S::kDepths) {
    const auto weights = [&](int p, int v) HWY_ATTR {
      return S::Weights(panels + p * panel_size + k * kWidth + v * kLanes * S::kDepths);
    };
    const auto inputs = [&](int i)
                            HWY_ATTR { return S::Inputs(x.rows.data + i * x.rows.stride + k); };
    if constexpr (kRows <= kPanels * kVectors) {
      decltype(inputs(0)) rows[kRows];
      HWY_UNROLL(8)
      for (int i = 0; i < kRows; ++i) rows[i] = inputs(i);
      HWY_UNROLL(8)
      for (int p = 0; p < kPanels; ++p) {
        HWY_UNROLL(16)
        for (int v = 0; v < kVectors; ++v) {
          const auto w = weights(p, v);
          HWY_UNROLL(8)
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
      HWY_UNROLL(8)
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
  HWY_UNROLL(8)
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

// The same for `count` panels, kPanels at a time while that many are left.
template <int kRows, int kPanels, class Weight>
void AddPanels(const Inputs<Weight>& x, const Weight* panels, int64_t panel_size, int64_t count,
               float* sums) {
  int64_t p = 0;
  for (; p + kPanels <= count; p += kPanels)
    AddBlock<kRows, kPanels>(x, panels + p * panel_size, panel_size, sums + p * kWidth);
  if constexpr (kPanels > 1)
    if (p < count)
      AddPanels<kRows, kPanels / 2>(x, panels + p * panel_size, panel_size, count - p,
                                    sums + p * kWidth);
}

// The same for any number of rows up to kRows.
template <class Weight, int kRows = kMaxRows<Weight>>
HWY_INLINE void AddRows(const Inputs<Weight>& x, const Weight* panels, int64_t panel_size,
                        int64_t count, float* sums) {
  if constexpr (kRows > 1)
    if (x.rows.rows < kRows) return AddRows<Weight, kRows - 1>(x, panels, panel_size, count, sums);
  AddPanels<kRows, panels_at_once(kRows)>(x, panels, panel_size, count, sums);
}

// The same for any number of rows, in groups that are as equal as possible.
template <class Weight>
void AddRowGroups(const Inputs<Weight>& x, const Weight* panels, int64_t panel_size, int64_t count,
                  float* sums) {
  const int64_t all = x.rows.rows;
  int64_t i = 0;
  for (int64_t groups = (all + kMaxRows<Weight> - 1) / kMaxRows<Weight>; groups > 0; --groups) {
    const int64_t rows = (all - i + groups - 1) / groups;
    AddRows(x.block(i, rows), panels, panel_size, count, sums + i * kColumnsAtOnce);
    i += rows;
  }
}

// The same. Many rows pass over a few panels at a time.
template <class Weight>
void AddProducts(const Inputs<Weight>& x, const Weight* panels, int64_t panel_size, int64_t count,
                 float* sums) {
  constexpr int64_t kFew = panels_at_once(kMaxRows<Weight>);
  if (x.rows.rows <= kMaxRows<Weight>) return AddRows(x, panels, panel_size, count, sums);
  for (int64_t p = 0; p < count; p += kFew)
    AddRowGroups(x, panels + p * panel_size, panel_size, std::min(kFew, count - p),
                 sums + p * kWidth);
}

// y[kWidth] = sums, times `scales` if not null, followed by the epilogue with `bias` as its bias.
template <class Y>
HWY_INLINE void FinishPanel(const float* sums, const float* scales, const float* bias,
                            const Epilogue& epilogue, Y* y) {
  const hn::ScalableTag<float> d;
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

// Rows of inputs in the form that steps read, with all depths.
template <class Weight>
class InputBlocks {
  using Input = typename Step<Weight>::Input;

 public:
  // Valid only while x is, and until `scratch` is used again.
  template <class X>
  InputBlocks(const Matrix<const X>& x, Scratch& scratch) : rows_(x.rows) {
    constexpr int64_t kDepths = Step<Weight>::kDepths;
    const int64_t whole = round_up(x.columns, kDepths);
    if constexpr (std::is_same_v<X, Input>)
      if (whole == x.columns) {
        as_given_ = x;
        return;
      }
    const auto values = static_cast<size_t>(rows_ * whole) * sizeof(Input);
    std::byte* memory =
        scratch.reserve<std::byte>(values + static_cast<size_t>(rows_) * sizeof(float));
    values_ = reinterpret_cast<Input*>(memory);
    if constexpr (kIntegers) {
      scales_ = reinterpret_cast<float*>(memory + values);
      for (int64_t i = 0; i < rows_; ++i) scales_[i] = QuantizedScale(x.row(i), x.columns);
    }
    for (int64_t k = 0; k < x.columns; k += kDepthAtOnce)
      convert(x.column_block(k, std::min(kDepthAtOnce, x.columns - k)), k);
  }

  // Depths k to k + depth - 1. k is a multiple of kDepthAtOnce, and depth is at most kDepthAtOnce.
  Inputs<Weight> depths(int64_t k, int64_t depth) const {
    if (as_given_.data) return {as_given_.column_block(k, depth), nullptr, k == 0};
    return {block(k, depth), scales_, k == 0};
  }

 private:
  static constexpr bool kIntegers = std::is_same_v<Weight, int8_t>;

  // The rows of a block are contiguous.
  Matrix<Input> block(int64_t k, int64_t depth) const {
    constexpr int64_t kDepths = Step<Weight>::kDepths;
    return {values_ + rows_ * k, rows_, round_up(depth, kDepths)};
  }

  template <class X>
  void convert(const Matrix<const X>& x, int64_t k) const {
    const Matrix<Input> to = block(k, x.columns);
    for (int64_t i = 0; i < rows_; ++i) {
      if constexpr (kIntegers)
        Quantize(x.row(i), x.columns, scales_[i], to.row(i));
      else
        ScaleToFloat(x.row(i), x.columns, 1.0f, to.row(i));
      std::fill(to.row(i) + x.columns, to.row(i) + to.columns, Input{0});
    }
  }

  int64_t rows_;
  Matrix<const Input> as_given_;
  Input* values_ = nullptr;
  float* scales_ = nullptr;  // [rows], for integers only
};

template <class X, class Y, class Weight>
void Multiply(const Matrix<const X>& x, const PanelWeights::Panels& weights, const Weight* data,
              const Matrix<Y>& y, const Epilogue& epilogue, PanelRange range, Scratch& scratch) {
  HWY_ALIGN float sums[kRowsAtOnce * kColumnsAtOnce];
  const int64_t panel_size = weights.depth<Weight>() * kWidth;
  for (int64_t i = 0; i < x.rows; i += kRowsAtOnce) {
    const int64_t rows = std::min(kRowsAtOnce, x.rows - i);
    const InputBlocks<Weight> inputs(x.row_block(i, rows), scratch);
    for (int64_t p = range.first; p < range.last; p += kPanelsAtOnce) {
      const int64_t count = std::min(kPanelsAtOnce, range.last - p);
      for (int64_t k = 0; k < weights.in; k += kDepthAtOnce)
        AddProducts(inputs.depths(k, std::min(kDepthAtOnce, weights.in - k)),
                    data + p * panel_size + k * kWidth, panel_size, count, sums);
      const int64_t first = p * kWidth;
      const int64_t columns = std::min(count * kWidth, weights.out - first);
      const float* scales = weights.scales.empty() ? nullptr : weights.scales.data() + first;
      for (int64_t r = 0; r < rows; ++r)
        Finish(sums + r * kColumnsAtOnce, scales, epilogue.bias ? epilogue.bias + first : nullptr,
               epilogue, columns, y.row(i + r) + first);
    }
  }
}

template <class X, class Y>
void MultiplyAny(const Matrix<const X>& x, const PanelWeights::Panels& weights, const Matrix<Y>& y,
                 const Epilogue& epilogue, PanelRange range, Scratch& scratch) {
  if (!weights.int8.empty())
    Multiply(x, weights, weights.int8.data(), y, epilogue, range, scratch);
  else if (!weights.bf16.empty())
    Multiply(x, weights, weights.bf16.data(), y, epilogue, range, scratch);
  else
    Multiply(x, weights, weights.f32.data(), y, epilogue, range, scratch);
}

void FloatToFloat(const Matrix<const float>& x, const PanelWeights::Panels& weights,
                  const Matrix<float>& y, const Epilogue& epilogue, PanelRange range,
                  Scratch& scratch) {
  MultiplyAny(x, weights, y, epilogue, range, scratch);
}
void Bfloat16ToFloat(const Matrix<const bfloat16>& x, const PanelWeights::Panels& weights,
                     const Matrix<float>& y, const Epilogue& epilogue, PanelRange range,
                     Scratch& scratch) {
  MultiplyAny(x, weights, y, epilogue, range, scratch);
}
void Bfloat16ToBfloat16(const Matrix<const bfloat16>& x, const PanelWeights::Panels& weights,
                        const Matrix<bfloat16>& y, const Epilogue& epilogue, PanelRange range,
                        Scratch& scratch) {
  MultiplyAny(x, weights, y, epilogue, range, scratch);
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace combiner {

HWY_EXPORT(FloatToFloat);
HWY_EXPORT(Bfloat16ToFloat);
HWY_EXPORT(Bfloat16ToBfloat16);

template <>
void multiply_panels(Matrix<const float> x, const PanelWeights& weights, Matrix<float> y,
                     const Epilogue& epilogue, PanelRange range, Scratch& scratch) {
  if (weights.panels().multiply_by_tiles<float>())
    return multiply_tiles<float, float>(x, weights.panels(), y, epilogue, range, scratch);
  HWY_DYNAMIC_DISPATCH(FloatToFloat)(x, weights.panels(), y, epilogue, range, scratch);
}
template <>
void multiply_panels(Matrix<const bfloat16> x, const PanelWeights& weights, Matrix<float> y,
                     const Epilogue& epilogue, PanelRange range, Scratch& scratch) {
  if (weights.panels().multiply_by_tiles<bfloat16>())
    return multiply_tiles<bfloat16, float>(x, weights.panels(), y, epilogue, range, scratch);
  HWY_DYNAMIC_DISPATCH(Bfloat16ToFloat)(x, weights.panels(), y, epilogue, range, scratch);
}
template <>
void multiply_panels(Matrix<const bfloat16> x, const PanelWeights& weights, Matrix<bfloat16> y,
                     const Epilogue& epilogue, PanelRange range, Scratch& scratch) {
  if (weights.panels().multiply_by_tiles<bfloat16>())
    return multiply_tiles<bfloat16, bfloat16>(x, weights.panels(), y, epilogue, range, scratch);
  HWY_DYNAMIC_DISPATCH(Bfloat16ToBfloat16)(x, weights.panels(), y, epilogue, range, scratch);
}

}  // namespace combiner
#endif  // HWY_ONCE
