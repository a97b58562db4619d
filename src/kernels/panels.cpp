#include "kernels/panels.h"

#include <algorithm>

#include "tensor/buffer.h"

#ifndef COMBINER_PANELS_STORAGE_
#define COMBINER_PANELS_STORAGE_
namespace combiner {

// A multiple of every instruction set's vector, and enough vectors to hide a multiply-add's
// latency.
inline constexpr int64_t kPanelWidth = 32;

// [out / kPanelWidth][in][kPanelWidth], the last panel padded with zeros; in one of the two types.
struct PanelWeights::Panels {
  int64_t out = 0;
  int64_t in = 0;
  Buffer<float> f32;
  Buffer<bfloat16> bf16;
};

}  // namespace combiner
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/panels.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// kRows rows of x times kVectors vectors of a panel.
template <int kRows, int kVectors, class X, class Weight>
HWY_INLINE void PanelBlock(int64_t depth, const X* x, int64_t x_stride,
                           const Weight* HWY_RESTRICT panel, float* HWY_RESTRICT y) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  V sum[kRows][kVectors];
  HWY_UNROLL(8)
  for (int i = 0; i < kRows; ++i) {
    HWY_UNROLL(8)
    for (int v = 0; v < kVectors; ++v) sum[i][v] = hn::Zero(d);
  }
  for (int64_t k = 0; k < depth; ++k) {
    V w[kVectors];
    HWY_UNROLL(8)
    for (int v = 0; v < kVectors; ++v) w[v] = LoadFloats(d, panel + k * kPanelWidth + v * lanes);
    HWY_UNROLL(8)
    for (int i = 0; i < kRows; ++i) {
      const V xik = hn::Set(d, OneToFloat(x[i * x_stride + k]));
      HWY_UNROLL(8)
      for (int v = 0; v < kVectors; ++v) sum[i][v] = hn::MulAdd(xik, w[v], sum[i][v]);
    }
  }
  HWY_UNROLL(8)
  for (int i = 0; i < kRows; ++i) {
    HWY_UNROLL(8)
    for (int v = 0; v < kVectors; ++v) hn::StoreU(sum[i][v], d, y + i * kPanelWidth + v * lanes);
  }
}

// kRows rows of x times a whole panel, into y [kRows, kPanelWidth].
template <int kRows, class X, class Weight>
HWY_INLINE void PanelRows(int64_t depth, const X* x, int64_t x_stride, const Weight* panel,
                          float* y) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<float>()));
  // Two vectors of four rows, or four of one, fill the registers of every instruction set.
  constexpr int kVectors = kRows >= 4 ? 2 : 4;
  int64_t v = 0;
  for (; v + kVectors * lanes <= kPanelWidth; v += kVectors * lanes)
    PanelBlock<kRows, kVectors>(depth, x, x_stride, panel + v, y + v);
  for (; v + lanes <= kPanelWidth; v += lanes)
    PanelBlock<kRows, 1>(depth, x, x_stride, panel + v, y + v);
}

template <class Y>
HWY_INLINE void Finish(const float* sum, const float* bias, bool accumulate, int64_t columns,
                       Y* y) {
  for (int64_t j = 0; j < columns; ++j) {
    float value = sum[j];
    if (accumulate) value += OneToFloat(y[j]);
    if (bias) value += bias[j];
    StoreOne(value, y + j);
  }
}

template <class X, class Y, class Weight>
void Multiply(const Matrix<const X>& x, const PanelWeights::Panels& weights, const Weight* data,
              const Matrix<Y>& y, bool accumulate, const float* bias) {
  constexpr int kRows = 4;
  HWY_ALIGN float sum[kRows * kPanelWidth];
  for (int64_t first = 0; first < weights.out; first += kPanelWidth) {
    const Weight* panel = data + first * weights.in;
    const int64_t columns = std::min(kPanelWidth, weights.out - first);
    const float* panel_bias = bias ? bias + first : nullptr;
    int64_t i = 0;
    for (; i + kRows <= x.rows; i += kRows) {
      PanelRows<kRows>(weights.in, x.row(i), x.stride, panel, sum);
      for (int r = 0; r < kRows; ++r)
        Finish(sum + r * kPanelWidth, panel_bias, accumulate, columns, y.row(i + r) + first);
    }
    for (; i < x.rows; ++i) {
      PanelRows<1>(weights.in, x.row(i), x.stride, panel, sum);
      Finish(sum, panel_bias, accumulate, columns, y.row(i) + first);
    }
  }
}

template <class X, class Y>
void MultiplyEither(const Matrix<const X>& x, const PanelWeights::Panels& weights,
                    const Matrix<Y>& y, bool accumulate, const float* bias) {
  if (weights.f32.empty())
    Multiply(x, weights, weights.bf16.data(), y, accumulate, bias);
  else
    Multiply(x, weights, weights.f32.data(), y, accumulate, bias);
}

void FloatToFloat(const Matrix<const float>& x, const PanelWeights::Panels& weights,
                  const Matrix<float>& y, bool accumulate, const float* bias) {
  MultiplyEither(x, weights, y, accumulate, bias);
}
void Bfloat16ToFloat(const Matrix<const bfloat16>& x, const PanelWeights::Panels& weights,
                     const Matrix<float>& y, bool accumulate, const float* bias) {
  MultiplyEither(x, weights, y, accumulate, bias);
}
void Bfloat16ToBfloat16(const Matrix<const bfloat16>& x, const PanelWeights::Panels& weights,
                        const Matrix<bfloat16>& y, bool accumulate, const float* bias) {
  MultiplyEither(x, weights, y, accumulate, bias);
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace combiner {

HWY_EXPORT(FloatToFloat);
HWY_EXPORT(Bfloat16ToFloat);
HWY_EXPORT(Bfloat16ToBfloat16);

namespace {

void store(float value, float& to) { to = value; }
void store(float value, bfloat16& to) { to = to_bfloat16(value); }

}  // namespace

template <class Weight>
PanelWeights PanelWeights::pack(Matrix<const float> weights) {
  auto panels = std::make_shared<Panels>();
  panels->out = weights.rows;
  panels->in = weights.columns;
  const int64_t count = (weights.rows + kPanelWidth - 1) / kPanelWidth;
  Buffer<Weight> packed(static_cast<size_t>(count * weights.columns * kPanelWidth));
  for (int64_t o = 0; o < weights.rows; ++o) {
    Weight* to = packed.data() + o / kPanelWidth * kPanelWidth * weights.columns + o % kPanelWidth;
    for (int64_t k = 0; k < weights.columns; ++k) store(weights.row(o)[k], to[k * kPanelWidth]);
  }
  if constexpr (std::is_same_v<Weight, float>)
    panels->f32 = std::move(packed);
  else
    panels->bf16 = std::move(packed);
  PanelWeights result;
  result.panels_ = std::move(panels);
  return result;
}
template PanelWeights PanelWeights::pack<float>(Matrix<const float>);
template PanelWeights PanelWeights::pack<bfloat16>(Matrix<const float>);

int64_t PanelWeights::out() const { return panels_->out; }
int64_t PanelWeights::in() const { return panels_->in; }

template <>
void multiply_panels(Matrix<const float> x, const PanelWeights& weights, Matrix<float> y,
                     bool accumulate, const float* bias) {
  HWY_DYNAMIC_DISPATCH(FloatToFloat)(x, weights.panels(), y, accumulate, bias);
}
template <>
void multiply_panels(Matrix<const bfloat16> x, const PanelWeights& weights, Matrix<float> y,
                     bool accumulate, const float* bias) {
  HWY_DYNAMIC_DISPATCH(Bfloat16ToFloat)(x, weights.panels(), y, accumulate, bias);
}
template <>
void multiply_panels(Matrix<const bfloat16> x, const PanelWeights& weights, Matrix<bfloat16> y,
                     bool accumulate, const float* bias) {
  HWY_DYNAMIC_DISPATCH(Bfloat16ToBfloat16)(x, weights.panels(), y, accumulate, bias);
}

}  // namespace combiner
#endif  // HWY_ONCE
