#include "kernels/panels.h"

#include <algorithm>
#include <bit>
#include <type_traits>

#include "tensor/buffer.h"
#include "tensor/int8_row.h"

#ifndef COMBINER_PANELS_STORAGE_
#define COMBINER_PANELS_STORAGE_
namespace combiner {

// [panel_count][in][kPanelWidth], the last panel padded with zeros; in one of the three
// types.
struct PanelWeights::Panels {
  int64_t out = 0;
  int64_t in = 0;
  Buffer<float> f32;
  Buffer<bfloat16> bf16;
  Buffer<int8_t> int8;
  Buffer<float> scales;  // of int8, one for each output, padded as the panels are
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

constexpr int64_t kWidth = PanelWeights::kPanelWidth;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(hn::ScalableTag<float>()));
constexpr int kVectors = static_cast<int>(kWidth) / kLanes;  // of a panel

// A product is made in blocks of vectors of sums, one chain of multiply-adds each. Twelve chains
// hide a multiply-add's latency, and with what they are made of fill sixteen registers.
constexpr int kSums = 12;
constexpr int kMostRows = std::clamp(kSums / kVectors, 1, 6);
// The fewer the rows, the more panels are read side by side.
constexpr int panels_at_once(int rows) {
  const int most = std::clamp(kSums / (rows * kVectors), 1, 4);
  return static_cast<int>(std::bit_floor(static_cast<unsigned>(most)));
}

// What is worked on at once. A panel this deep is half of the nearest cache, where it stays while
// all rows pass.
constexpr int64_t kDepthAtOnce = 256;
constexpr int64_t kRowsAtOnce = 48;
constexpr int64_t kPanelsAtOnce = 8;
constexpr int64_t kColumnsAtOnce = kPanelsAtOnce * kWidth;

template <class D>
HWY_INLINE hn::Vec<D> LoadFloats(D d, const int8_t* from) {
  const hn::Rebind<int8_t, D> di8;
  const hn::Rebind<int32_t, D> di32;
  return hn::ConvertTo(d, hn::PromoteTo(di32, hn::LoadU(di8, from)));
}

// Four rows of four, `stride` apart, into columns of `to`, rows kWidth apart.
HWY_INLINE void Transpose4x4(const float* from, int64_t stride, float* to) {
#if HWY_TARGET == HWY_SCALAR
  for (int64_t i = 0; i < 4; ++i)
    for (int64_t k = 0; k < 4; ++k) to[k * kWidth + i] = from[i * stride + k];
#else
  const hn::FixedTag<float, 4> d;
  const auto a = hn::LoadU(d, from);
  const auto b = hn::LoadU(d, from + stride);
  const auto c = hn::LoadU(d, from + 2 * stride);
  const auto e = hn::LoadU(d, from + 3 * stride);
  const auto ac01 = hn::InterleaveLower(d, a, c), ac23 = hn::InterleaveUpper(d, a, c);
  const auto be01 = hn::InterleaveLower(d, b, e), be23 = hn::InterleaveUpper(d, b, e);
  hn::Store(hn::InterleaveLower(d, ac01, be01), d, to);
  hn::Store(hn::InterleaveUpper(d, ac01, be01), d, to + kWidth);
  hn::Store(hn::InterleaveLower(d, ac23, be23), d, to + 2 * kWidth);
  hn::Store(hn::InterleaveUpper(d, ac23, be23), d, to + 3 * kWidth);
#endif
}

// The transpose of up to kWidth rows, into columns of `to`, rows kWidth apart.
HWY_INLINE void Transpose(const Matrix<const float>& from, float* to) {
  for (int64_t i = 0; i < from.rows; i += 4) {
    const int64_t few = std::min<int64_t>(4, from.rows - i);
    int64_t k = 0;
    if (few == 4)
      for (; k + 4 <= from.columns; k += 4)
        Transpose4x4(from.row(i) + k, from.stride, to + k * kWidth + i);
    for (; k < from.columns; ++k)
      for (int64_t r = i; r < i + few; ++r) to[k * kWidth + r] = from.row(r)[k];
  }
}

// All panels, by way of a tile that stays in the nearest cache.
template <class Weight>
void Pack(const Matrix<const float>& weights, Weight* panels) {
  const hn::ScalableTag<float> d;
  constexpr int64_t kTileDepth = 64;
  for (int64_t o = 0; o < weights.rows; o += kWidth) {
    HWY_ALIGN float tile[kTileDepth * kWidth] = {};
    const auto rows = weights.row_block(o, std::min(kWidth, weights.rows - o));
    for (int64_t k = 0; k < weights.columns; k += kTileDepth) {
      const int64_t depth = std::min(kTileDepth, weights.columns - k);
      Transpose(rows.column_block(k, depth), tile);
      for (int64_t j = 0; j < depth * kWidth; j += kLanes, panels += kLanes)
        StoreFloats(d, hn::Load(d, tile + j), panels);
    }
  }
}

void PackFloat(const Matrix<const float>& weights, float* panels) { Pack(weights, panels); }
void PackBfloat16(const Matrix<const float>& weights, bfloat16* panels) { Pack(weights, panels); }

// Adds the products of kRows rows of x and kPanels panels, `panel_size` apart, to `sums`
// [kRows, kPanels panels], rows kColumnsAtOnce apart.
template <int kRows, int kPanels, class Weight>
HWY_INLINE void AddBlock(const Matrix<const float>& x, const Weight* HWY_RESTRICT panels,
                         int64_t panel_size, float* HWY_RESTRICT sums) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  V sum[kRows][kPanels][kVectors];
  HWY_UNROLL(8)
  for (int i = 0; i < kRows; ++i) {
    HWY_UNROLL(8)
    for (int p = 0; p < kPanels; ++p) {
      HWY_UNROLL(16)
      for (int v = 0; v < kVectors; ++v)
        sum[i][p][v] = hn::Load(d, sums + i * kColumnsAtOnce + p * kWidth + v * kLanes);
    }
  }
  // The shorter side of the block is kept in registers, the longer one is read as it is used.
  for (int64_t k = 0; k < x.columns; ++k) {
    const auto weight = [&](int p, int v) HWY_ATTR {
      return LoadFloats(d, panels + p * panel_size + k * kWidth + v * kLanes);
    };
    const auto row = [&](int i) HWY_ATTR { return hn::Set(d, x.data[i * x.stride + k]); };
    if constexpr (kRows <= kPanels * kVectors) {
      V rows[kRows];
      HWY_UNROLL(8)
      for (int i = 0; i < kRows; ++i) rows[i] = row(i);
      HWY_UNROLL(8)
      for (int p = 0; p < kPanels; ++p) {
        HWY_UNROLL(16)
        for (int v = 0; v < kVectors; ++v) {
          const V w = weight(p, v);
          HWY_UNROLL(8)
          for (int i = 0; i < kRows; ++i) sum[i][p][v] = hn::MulAdd(rows[i], w, sum[i][p][v]);
        }
      }
    } else {
      V w[kPanels][kVectors];
      HWY_UNROLL(8)
      for (int p = 0; p < kPanels; ++p) {
        HWY_UNROLL(16)
        for (int v = 0; v < kVectors; ++v) w[p][v] = weight(p, v);
      }
      HWY_UNROLL(8)
      for (int i = 0; i < kRows; ++i) {
        const V xik = row(i);
        HWY_UNROLL(8)
        for (int p = 0; p < kPanels; ++p) {
          HWY_UNROLL(16)
          for (int v = 0; v < kVectors; ++v) sum[i][p][v] = hn::MulAdd(xik, w[p][v], sum[i][p][v]);
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
        hn::Store(sum[i][p][v], d, sums + i * kColumnsAtOnce + p * kWidth + v * kLanes);
    }
  }
}

// The same for `count` panels, kPanels at a time while there are so many.
template <int kRows, int kPanels, class Weight>
void AddPanels(const Matrix<const float>& x, const Weight* panels, int64_t panel_size,
               int64_t count, float* sums) {
  int64_t p = 0;
  for (; p + kPanels <= count; p += kPanels)
    AddBlock<kRows, kPanels>(x, panels + p * panel_size, panel_size, sums + p * kWidth);
  if constexpr (kPanels > 1)
    if (p < count)
      AddPanels<kRows, kPanels / 2>(x, panels + p * panel_size, panel_size, count - p,
                                    sums + p * kWidth);
}

// The same for any number of rows up to kRows.
template <int kRows = kMostRows, class Weight>
HWY_INLINE void AddRows(const Matrix<const float>& x, const Weight* panels, int64_t panel_size,
                        int64_t count, float* sums) {
  if constexpr (kRows > 1)
    if (x.rows < kRows) return AddRows<kRows - 1>(x, panels, panel_size, count, sums);
  AddPanels<kRows, panels_at_once(kRows)>(x, panels, panel_size, count, sums);
}

// The same for any number of rows, in groups as equal as can be.
template <class Weight>
void AddRowGroups(const Matrix<const float>& x, const Weight* panels, int64_t panel_size,
                  int64_t count, float* sums) {
  int64_t i = 0;
  for (int64_t groups = (x.rows + kMostRows - 1) / kMostRows; groups > 0; --groups) {
    const int64_t rows = (x.rows - i + groups - 1) / groups;
    AddRows(x.row_block(i, rows), panels, panel_size, count, sums + i * kColumnsAtOnce);
    i += rows;
  }
}

// `count` is a multiple of the lanes.
template <class Weight>
HWY_INLINE void ToFloats(const Weight* HWY_RESTRICT from, int64_t count, float* HWY_RESTRICT to) {
  const hn::ScalableTag<float> d;
  for (int64_t j = 0; j < count; j += kLanes) hn::Store(LoadFloats(d, from + j), d, to + j);
}

// The same; many rows pass over a few panels at a time, made floats once.
template <class Weight>
void AddProducts(const Matrix<const float>& x, const Weight* panels, int64_t panel_size,
                 int64_t count, float* sums) {
  if (x.rows <= kMostRows) return AddRows(x, panels, panel_size, count, sums);
  constexpr int64_t kFew = panels_at_once(kMostRows);
  for (int64_t p = 0; p < count; p += kFew) {
    const int64_t few = std::min(kFew, count - p);
    const Weight* from = panels + p * panel_size;
    if constexpr (std::is_same_v<Weight, float>) {
      AddRowGroups(x, from, panel_size, few, sums + p * kWidth);
    } else {
      constexpr int64_t kBlock = kDepthAtOnce * kWidth;
      HWY_ALIGN float floats[kFew * kBlock];
      for (int64_t i = 0; i < few; ++i)
        ToFloats(from + i * panel_size, x.columns * kWidth, floats + i * kBlock);
      AddRowGroups(x, floats, kBlock, few, sums + p * kWidth);
    }
  }
}

// y[kWidth] = or += sums, times scales if any, then += bias.
template <class Y>
HWY_INLINE void FinishPanel(const float* sums, const float* scales, const float* bias,
                            bool accumulate, Y* y) {
  const hn::ScalableTag<float> d;
  for (int64_t j = 0; j < kWidth; j += kLanes) {
    auto value = hn::Load(d, sums + j);
    if (scales) value = hn::Mul(value, hn::Load(d, scales + j));
    if (accumulate) value = hn::Add(value, LoadFloats(d, y + j));
    if (bias) value = hn::Add(value, hn::LoadU(d, bias + j));
    StoreFloats(d, value, y + j);
  }
}

// The same for any number of columns; whole panels of sums and scales.
template <class Y>
HWY_INLINE void Finish(const float* sums, const float* scales, const float* bias, bool accumulate,
                       int64_t columns, Y* y) {
  int64_t j = 0;
  const auto from = [&](const float* values) { return values ? values + j : nullptr; };
  for (; j + kWidth <= columns; j += kWidth)
    FinishPanel(sums + j, from(scales), from(bias), accumulate, y + j);
  if (j == columns) return;
  float last_bias[kWidth] = {};
  Y last[kWidth] = {};
  if (bias) std::copy_n(bias + j, columns - j, last_bias);
  std::copy_n(y + j, columns - j, last);
  FinishPanel(sums + j, from(scales), bias ? last_bias : nullptr, accumulate, last);
  std::copy_n(last, columns - j, y + j);
}

template <class X, class Y, class Weight>
void Multiply(const Matrix<const X>& x, const PanelWeights::Panels& weights, const Weight* data,
              const Matrix<Y>& y, bool accumulate, const float* bias, PanelRange range) {
  HWY_ALIGN float sums[kRowsAtOnce * kColumnsAtOnce];
  HWY_ALIGN float x_floats[kRowsAtOnce * kDepthAtOnce];
  const int64_t panel_size = weights.in * kWidth;
  for (int64_t i = 0; i < x.rows; i += kRowsAtOnce) {
    const int64_t rows = std::min(kRowsAtOnce, x.rows - i);
    for (int64_t p = range.first; p < range.last; p += kPanelsAtOnce) {
      const int64_t count = std::min(kPanelsAtOnce, range.last - p);
      std::fill_n(sums, rows * kColumnsAtOnce, 0.0f);
      for (int64_t k = 0; k < weights.in; k += kDepthAtOnce) {
        const int64_t depth = std::min(kDepthAtOnce, weights.in - k);
        Matrix<const float> block(x_floats, rows, depth, kDepthAtOnce);
        if constexpr (std::is_same_v<X, float>)
          block = x.row_block(i, rows).column_block(k, depth);
        else
          for (int64_t r = 0; r < rows; ++r)
            ScaleToFloat(x.row(i + r) + k, depth, 1.0f, x_floats + r * kDepthAtOnce);
        AddProducts(block, data + p * panel_size + k * kWidth, panel_size, count, sums);
      }
      const int64_t first = p * kWidth;
      const int64_t columns = std::min(count * kWidth, weights.out - first);
      const float* scales = weights.scales.empty() ? nullptr : weights.scales.data() + first;
      for (int64_t r = 0; r < rows; ++r)
        Finish(sums + r * kColumnsAtOnce, scales, bias ? bias + first : nullptr, accumulate,
               columns, y.row(i + r) + first);
    }
  }
}

template <class X, class Y>
void MultiplyAny(const Matrix<const X>& x, const PanelWeights::Panels& weights, const Matrix<Y>& y,
                 bool accumulate, const float* bias, PanelRange range) {
  if (!weights.int8.empty())
    Multiply(x, weights, weights.int8.data(), y, accumulate, bias, range);
  else if (!weights.bf16.empty())
    Multiply(x, weights, weights.bf16.data(), y, accumulate, bias, range);
  else
    Multiply(x, weights, weights.f32.data(), y, accumulate, bias, range);
}

void FloatToFloat(const Matrix<const float>& x, const PanelWeights::Panels& weights,
                  const Matrix<float>& y, bool accumulate, const float* bias, PanelRange range) {
  MultiplyAny(x, weights, y, accumulate, bias, range);
}
void Bfloat16ToFloat(const Matrix<const bfloat16>& x, const PanelWeights::Panels& weights,
                     const Matrix<float>& y, bool accumulate, const float* bias, PanelRange range) {
  MultiplyAny(x, weights, y, accumulate, bias, range);
}
void Bfloat16ToBfloat16(const Matrix<const bfloat16>& x, const PanelWeights::Panels& weights,
                        const Matrix<bfloat16>& y, bool accumulate, const float* bias,
                        PanelRange range) {
  MultiplyAny(x, weights, y, accumulate, bias, range);
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace combiner {

HWY_EXPORT(PackFloat);
HWY_EXPORT(PackBfloat16);
HWY_EXPORT(FloatToFloat);
HWY_EXPORT(Bfloat16ToFloat);
HWY_EXPORT(Bfloat16ToBfloat16);

namespace {

// Row by row as 8-bit integers and scales, into panels.
void pack_int8(Matrix<const float> weights, int8_t* panels, float* scales) {
  constexpr int64_t kWidth = PanelWeights::kPanelWidth;
  const auto in = static_cast<size_t>(weights.columns);
  Buffer<int8_t> row(in);
  for (int64_t o = 0; o < weights.rows; ++o) {
    scales[o] = quantize_row({weights.row(o), in}, row.span());
    int8_t* to = panels + o / kWidth * kWidth * weights.columns + o % kWidth;
    for (size_t k = 0; k < in; ++k, to += kWidth) *to = row[k];
  }
}

}  // namespace

template <class Weight>
PanelWeights PanelWeights::pack(Matrix<const float> weights) {
  auto panels = std::make_shared<Panels>();
  panels->out = weights.rows;
  panels->in = weights.columns;
  PanelWeights result;
  result.panels_ = panels;
  const int64_t outs = result.panel_count() * kPanelWidth;
  const auto size = static_cast<size_t>(outs * weights.columns);
  if constexpr (std::is_same_v<Weight, float>) {
    panels->f32 = Buffer<float>(size);
    HWY_DYNAMIC_DISPATCH(PackFloat)(weights, panels->f32.data());
  } else if constexpr (std::is_same_v<Weight, bfloat16>) {
    panels->bf16 = Buffer<bfloat16>(size);
    HWY_DYNAMIC_DISPATCH(PackBfloat16)(weights, panels->bf16.data());
  } else {
    panels->int8 = Buffer<int8_t>(size);
    panels->scales = Buffer<float>(static_cast<size_t>(outs));
    pack_int8(weights, panels->int8.data(), panels->scales.data());
  }
  return result;
}
template PanelWeights PanelWeights::pack<float>(Matrix<const float>);
template PanelWeights PanelWeights::pack<bfloat16>(Matrix<const float>);
template PanelWeights PanelWeights::pack<int8_t>(Matrix<const float>);

int64_t PanelWeights::out() const { return panels_->out; }
int64_t PanelWeights::in() const { return panels_->in; }

template <>
void multiply_panels(Matrix<const float> x, const PanelWeights& weights, Matrix<float> y,
                     bool accumulate, const float* bias, PanelRange range) {
  HWY_DYNAMIC_DISPATCH(FloatToFloat)
  (x, weights.panels(), y, accumulate, bias, range);
}
template <>
void multiply_panels(Matrix<const bfloat16> x, const PanelWeights& weights, Matrix<float> y,
                     bool accumulate, const float* bias, PanelRange range) {
  HWY_DYNAMIC_DISPATCH(Bfloat16ToFloat)
  (x, weights.panels(), y, accumulate, bias, range);
}
template <>
void multiply_panels(Matrix<const bfloat16> x, const PanelWeights& weights, Matrix<bfloat16> y,
                     bool accumulate, const float* bias, PanelRange range) {
  HWY_DYNAMIC_DISPATCH(Bfloat16ToBfloat16)
  (x, weights.panels(), y, accumulate, bias, range);
}

}  // namespace combiner
#endif  // HWY_ONCE
