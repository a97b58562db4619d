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

// to(j) = function of from(j) for a row, in whole vectors; the last, partial one by way of a copy.
template <class T, class Function>
HWY_INLINE void MapRow(int64_t count, const T* x, const std::type_identity_t<T>* d_y, T* to,
                       const Function& f) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes)
    StoreFloats(d, f(d, LoadFloats(d, x + j), d_y ? LoadFloats(d, d_y + j) : hn::Zero(d)), to + j);
  if (j == count) return;
  HWY_ALIGN float in[hn::MaxLanes(d)] = {};
  HWY_ALIGN float gradient[hn::MaxLanes(d)] = {};
  for (int64_t i = j; i < count; ++i) {
    in[i - j] = OneToFloat(x[i]);
    if (d_y) gradient[i - j] = OneToFloat(d_y[i]);
  }
  hn::Store(f(d, hn::Load(d, in), hn::Load(d, gradient)), d, in);
  for (int64_t i = j; i < count; ++i) StoreOne(in[i - j], to + i);
}

template <class F, class T>
void Forward(const Matrix<const T>& x, const Matrix<T>& y) {
  for (int64_t i = 0; i < x.rows; ++i)
    MapRow(x.columns, x.row(i), nullptr, y.row(i),
           [](auto d, auto v, auto) HWY_ATTR { return F::Value(d, v); });
}
template <class F, class T>
void Backward(const Matrix<const T>& x, const Matrix<const T>& d_y, const Matrix<T>& d_x) {
  for (int64_t i = 0; i < x.rows; ++i)
    MapRow(x.columns, x.row(i), d_y.row(i), d_x.row(i),
           [](auto d, auto v, auto g) HWY_ATTR { return hn::Mul(g, F::Slope(d, v)); });
}

template <class T>
void Activate(Activation activation, const Matrix<const T>& x, const Matrix<T>& y) {
  return activation == Activation::relu ? Forward<Relu<T>>(x, y) : Forward<Gelu<T>>(x, y);
}
template <class T>
void ActivateBackward(Activation activation, const Matrix<const T>& x, const Matrix<const T>& d_y,
                      const Matrix<T>& d_x) {
  return activation == Activation::relu ? Backward<Relu<T>>(x, d_y, d_x)
                                        : Backward<Gelu<T>>(x, d_y, d_x);
}

void ActivateFloat(Activation a, const Matrix<const float>& x, const Matrix<float>& y) {
  Activate(a, x, y);
}
void ActivateBfloat16(Activation a, const Matrix<const bfloat16>& x, const Matrix<bfloat16>& y) {
  Activate(a, x, y);
}
void ActivateBackwardFloat(Activation a, const Matrix<const float>& x,
                           const Matrix<const float>& d_y, const Matrix<float>& d_x) {
  ActivateBackward(a, x, d_y, d_x);
}
void ActivateBackwardBfloat16(Activation a, const Matrix<const bfloat16>& x,
                              const Matrix<const bfloat16>& d_y, const Matrix<bfloat16>& d_x) {
  ActivateBackward(a, x, d_y, d_x);
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace combiner {

HWY_EXPORT(ActivateFloat);
HWY_EXPORT(ActivateBfloat16);
HWY_EXPORT(ActivateBackwardFloat);
HWY_EXPORT(ActivateBackwardBfloat16);

template <>
void activate(Activation activation, Matrix<const float> x, Matrix<float> y) {
  HWY_DYNAMIC_DISPATCH(ActivateFloat)(activation, x, y);
}
template <>
void activate(Activation activation, Matrix<const bfloat16> x, Matrix<bfloat16> y) {
  HWY_DYNAMIC_DISPATCH(ActivateBfloat16)(activation, x, y);
}
template <>
void activate_backward(Activation activation, Matrix<const float> x, Matrix<const float> d_y,
                       Matrix<float> d_x) {
  HWY_DYNAMIC_DISPATCH(ActivateBackwardFloat)(activation, x, d_y, d_x);
}
template <>
void activate_backward(Activation activation, Matrix<const bfloat16> x, Matrix<const bfloat16> d_y,
                       Matrix<bfloat16> d_x) {
  HWY_DYNAMIC_DISPATCH(ActivateBackwardBfloat16)(activation, x, d_y, d_x);
}

}  // namespace combiner
#endif  // HWY_ONCE
