#include "kernels/activation.h"

#include "kernels/portable/portable.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/portable/activation.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/portable/activation-inl.h"
#include "kernels/portable/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class F, class T>
void Map(const Matrix<const T>& x, const Matrix<T>& y, const Matrix<T>& activation_grad) {
  for (int64_t i = 0; i < x.rows; ++i)
    if (activation_grad.data)
      MapRow<F, true>(x.columns, x.row(i), y.row(i), activation_grad.row(i));
    else
      MapRow<F, false, T>(x.columns, x.row(i), y.row(i), nullptr);
}
template <class T>
void Activate(Activation activation, const Matrix<const T>& x, const Matrix<T>& y,
              const Matrix<T>& activation_grad) {
  return activation == Activation::relu ? Map<Relu<T>>(x, y, activation_grad)
                                        : Map<Gelu<T>>(x, y, activation_grad);
}

void ActivateFloat(Activation a, const Matrix<const float>& x, const Matrix<float>& y,
                   const Matrix<float>& activation_grad) {
  Activate(a, x, y, activation_grad);
}
void ActivateBfloat16(Activation a, const Matrix<const bfloat16>& x, const Matrix<bfloat16>& y,
                      const Matrix<bfloat16>& activation_grad) {
  Activate(a, x, y, activation_grad);
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace combiner {

HWY_EXPORT(ActivateFloat);
HWY_EXPORT(ActivateBfloat16);

namespace portable {

template <>
void activate(Activation activation, Matrix<const float> x, Matrix<float> y,
              Matrix<float> activation_grad) {
  HWY_DYNAMIC_DISPATCH(ActivateFloat)(activation, x, y, activation_grad);
}
template <>
void activate(Activation activation, Matrix<const bfloat16> x, Matrix<bfloat16> y,
              Matrix<bfloat16> activation_grad) {
  HWY_DYNAMIC_DISPATCH(ActivateBfloat16)(activation, x, y, activation_grad);
}

}  // namespace portable
}  // namespace combiner
#endif  // HWY_ONCE
