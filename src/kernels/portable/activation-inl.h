// Vectorised activation functions, compiled once per instruction set.

#if defined(COMBINER_KERNELS_PORTABLE_ACTIVATION_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef COMBINER_KERNELS_PORTABLE_ACTIVATION_INL_H_
#undef COMBINER_KERNELS_PORTABLE_ACTIVATION_INL_H_
#else
#define COMBINER_KERNELS_PORTABLE_ACTIVATION_INL_H_
#endif

#include <type_traits>

#include "kernels/portable/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Constants of the tanh form of GELU: 2 sqrt(2 / pi), and the coefficient of the cubic term.
constexpr float kGeluScale = 1.5957691216057308f;
constexpr float kGeluCubic = 0.044715f;

// T is the type in which the results will be stored. Rounding to bfloat16 hides the error of the
// coarser approximations in Gelu<bfloat16>.
template <class T>
struct Relu {
  template <class D, class V>
  static HWY_INLINE V Value(D d, V x) {
    // Max of a NaN is 0 on some processors, and would hide that weights are of no use.
    return hn::IfThenZeroElse(hn::Le(x, hn::Zero(d)), x);
  }
  template <class D, class V>
  static HWY_INLINE V ValueAndGrad(D d, V x, V& activation_grad) {
    activation_grad = hn::IfThenElseZero(hn::Gt(x, hn::Zero(d)), hn::Set(d, 1.0f));
    return Value(d, x);
  }
};

template <class T>
struct Gelu {
  template <class D, class V>
  static HWY_INLINE V Gate(D d, V x, V square) {
    const auto exponent = [&](float scale) HWY_ATTR {
      return hn::Mul(x, hn::MulAdd(square, hn::Set(d, -scale * kGeluCubic), hn::Set(d, -scale)));
    };
    const V one = hn::Set(d, 1.0f);
    if constexpr (std::is_same_v<T, bfloat16>)
      return ReciprocalCoarse(d, hn::Add(one, PowerOfTwoCoarse(d, exponent(kGeluScale * kLog2E))));
    else
      return hn::Div(one, hn::Add(one, FastExp(d, exponent(kGeluScale))));
  }
  template <class D, class V>
  static HWY_INLINE V Value(D d, V x) {
    return hn::Mul(x, Gate(d, x, hn::Mul(x, x)));
  }
  // The derivative is gate + x gate (1 - gate) du/dx, where gate = sigmoid(u).
  template <class D, class V>
  static HWY_INLINE V ValueAndGrad(D d, V x, V& activation_grad) {
    const V square = hn::Mul(x, x);
    const V gate = Gate(d, x, square);
    const V du = hn::Mul(hn::Set(d, kGeluScale),
                         hn::MulAdd(square, hn::Set(d, 3.0f * kGeluCubic), hn::Set(d, 1.0f)));
    const V bend = hn::Mul(hn::Mul(x, du), hn::NegMulAdd(gate, gate, gate));
    activation_grad = hn::Add(gate, bend);
    return hn::Mul(x, gate);
  }
};

// Applies F to a row and, if kGrad, stores the derivative in activation_grad. The last elements, if
// they do not fill a vector, go through a padded copy.
template <class F, bool kGrad, class T>
HWY_INLINE void MapRow(int64_t count, const T* x, T* y, T* activation_grad) {
  int64_t j = 0;
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto map = [&](V v, V& to_grad) HWY_ATTR {
    if constexpr (kGrad)
      return F::ValueAndGrad(d, v, to_grad);
    else
      return F::Value(d, v);
  };
  V v = hn::Zero(d);
  for (; j + lanes <= count; j += lanes) {
    StoreFloats(d, map(LoadFloats(d, x + j), v), y + j);
    if constexpr (kGrad) StoreFloats(d, v, activation_grad + j);
  }
  if (j == count) return;
  HWY_ALIGN float values[hn::MaxLanes(d)] = {};
  HWY_ALIGN float grads[hn::MaxLanes(d)] = {};
  for (int64_t i = j; i < count; ++i) values[i - j] = OneToFloat(x[i]);
  hn::Store(map(hn::Load(d, values), v), d, values);
  hn::Store(v, d, grads);
  for (int64_t i = j; i < count; ++i) {
    StoreOne(values[i - j], y + i);
    if constexpr (kGrad) StoreOne(grads[i - j], activation_grad + i);
  }
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
