#include "kernels/int8_rows.h"

#include "tensor/bfloat16.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/portable/int8_rows.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/portable/quantize-inl.h"
#include "kernels/portable/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class T>
void QuantizeRows(const Matrix<const T>& from, const Matrix<int8_t>& to, float* scales,
                  int64_t stride) {
  for (int64_t i = 0; i < from.rows; ++i) {
    const float scale = QuantizedScale(from.row(i), from.columns);
    scales[i * stride] = scale;
    Quantize(from.row(i), from.columns, scale, to.row(i));
  }
}
void QuantizeFloat(const Matrix<const float>& from, const Matrix<int8_t>& to, float* scales,
                   int64_t stride) {
  QuantizeRows(from, to, scales, stride);
}
void QuantizeBfloat16(const Matrix<const bfloat16>& from, const Matrix<int8_t>& to, float* scales,
                      int64_t stride) {
  QuantizeRows(from, to, scales, stride);
}

template <class T>
void RoundRows(const Matrix<const T>& from, const Matrix<T>& to) {
  const hn::ScalableTag<float> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t i = 0; i < from.rows; ++i) {
    const float scale = QuantizedScale(from.row(i), from.columns);
    const float inverse = InverseScale(scale);
    const auto kept = [&](hn::Vec<decltype(d)> x) {
      const auto whole = hn::Sub(AddRounder(d, x, inverse, T{}), hn::Set(d, kRounder));
      return hn::Mul(whole, hn::Set(d, scale));
    };
    int64_t j = 0;
    if constexpr (std::is_same_v<T, bfloat16>)
      for (; j + 2 * lanes <= from.columns; j += 2 * lanes) {
        const auto [even, odd] = LoadPairs(d, from.row(i) + j);
        StorePairs(d, {kept(even), kept(odd)}, to.row(i) + j);
      }
    for (; j + lanes <= from.columns; j += lanes)
      StoreFloats(d, kept(LoadFloats(d, from.row(i) + j)), to.row(i) + j);
    for (; j < from.columns; ++j)
      StoreOne(static_cast<float>(std::lrint(OneToFloat(from.row(i)[j]) * inverse)) * scale,
               to.row(i) + j);
  }
}
void RoundFloat(const Matrix<const float>& from, const Matrix<float>& to) { RoundRows(from, to); }
void RoundBfloat16(const Matrix<const bfloat16>& from, const Matrix<bfloat16>& to) {
  RoundRows(from, to);
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace combiner {

HWY_EXPORT(QuantizeFloat);
HWY_EXPORT(QuantizeBfloat16);
HWY_EXPORT(RoundFloat);
HWY_EXPORT(RoundBfloat16);

template <>
void quantize_rows(Matrix<const float> from, Matrix<int8_t> to, float* scales, int64_t stride) {
  HWY_DYNAMIC_DISPATCH(QuantizeFloat)(from, to, scales, stride);
}
template <>
void quantize_rows(Matrix<const bfloat16> from, Matrix<int8_t> to, float* scales, int64_t stride) {
  HWY_DYNAMIC_DISPATCH(QuantizeBfloat16)(from, to, scales, stride);
}
template <>
void round_rows(Matrix<const float> from, Matrix<float> to) {
  HWY_DYNAMIC_DISPATCH(RoundFloat)(from, to);
}
template <>
void round_rows(Matrix<const bfloat16> from, Matrix<bfloat16> to) {
  HWY_DYNAMIC_DISPATCH(RoundBfloat16)(from, to);
}

}  // namespace combiner
#endif  // HWY_ONCE
