#include "kernels/activation.h"

#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/activation.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/activation-inl.h"
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The function of a row and, if kSlope, its slope, in whole vectors; the last, partial one by way
// of a copy.
template <class F, bool kSlope, class T>
HWY_INLINE void MapRow(int64_t count, const T* x, T* y, T* slope) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto map = [&](V v, V& to_slope) HWY_ATTR {
    if constexpr (kSlope)
      return F::ValueAndSlope(d, v, to_slope);
    else
      return F::Value(d, v);
  };
  V v = hn::Zero(d);
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes) {
    StoreFloats(d, map(LoadFloats(d, x + j), v), y + j);
    if constexpr (kSlope) StoreFloats(d, v, slope + j);
  }
  if (j == count) return;
  HWY_ALIGN float values[hn::MaxLanes(d)] = {};
  HWY_ALIGN float slopes[hn::MaxLanes(d)] = {};
  for (int64_t i = j; i < count; ++i) values[i - j] = OneToFloat(x[i]);
  hn::Store(map(hn::Load(d, values), v), d, values);
  hn::Store(v, d, slopes);
  for (int64_t i = j; i < count; ++i) {
    StoreOne(values[i - j], y + i);
    if constexpr (kSlope) StoreOne(slopes[i - j], slope + i);
  }
}

template <class F, class T>
void Map(const Matrix<const T>& x, const Matrix<T>& y, const Matrix<T>& slope) {
  for (int64_t i = 0; i < x.rows; ++i)
    if (slope.data)
      MapRow<F, true>(x.columns, x.row(i), y.row(i), slope.row(i));
    else
      MapRow<F, false, T>(x.columns, x.row(i), y.row(i), nullptr);
}
template <class T>
void Activate(Activation activation, const Matrix<const T>& x, const Matrix<T>& y,
              const Matrix<T>& slope) {
  return activation == Activation::relu ? Map<Relu<T>>(x, y, slope) : Map<Gelu<T>>(x, y, slope);
}

void ActivateFloat(Activation a, const Matrix<const float>& x, const Matrix<float>& y,
                   const Matrix<float>& slope) {
  Activate(a, x, y, slope);
}
void ActivateBfloat16(Activation a, const Matrix<const bfloat16>& x, const Matrix<bfloat16>& y,
                      const Matrix<bfloat16>& slope) {
  Activate(a, x, y, slope);
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace combiner {

HWY_EXPORT(ActivateFloat);
HWY_EXPORT(ActivateBfloat16);

template <>
void activate(Activation activation, Matrix<const float> x, Matrix<float> y, Matrix<float> slope) {
  HWY_DYNAMIC_DISPATCH(ActivateFloat)(activation, x, y, slope);
}
template <>
void activate(Activation activation, Matrix<const bfloat16> x, Matrix<bfloat16> y,
              Matrix<bfloat16> slope) {
  HWY_DYNAMIC_DISPATCH(ActivateBfloat16)(activation, x, y, slope);
}

}  // namespace combiner
#endif  // HWY_ONCE
