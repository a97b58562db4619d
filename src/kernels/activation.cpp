#include "kernels/activation.h"

#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/activation.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/activation-inl.h"
#include "kernels/amx.h"
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#if HWY_TARGET == HWY_AVX3 && COMBINER_HAS_AMX
// Applies F to the elements of a row and, if kGrad, stores the derivative in activation_grad. Stops
// after the last whole pair of vectors and returns the number of elements processed. Works on pairs
// because processors with AVX512-BF16 round two vectors to bfloat16 in one instruction.
template <class F, bool kGrad>
COMBINER_AMX int64_t MapPairs(int64_t count, const bfloat16* x, bfloat16* y,
                              bfloat16* activation_grad) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  constexpr int64_t kLanes = 16;
  const auto store = [](const V(&v)[2], bfloat16* to) COMBINER_AMX {
    const __m512bh rounded = _mm512_cvtne2ps_pbh(v[1].raw, v[0].raw);
    _mm512_storeu_si512(to, reinterpret_cast<__m512i>(rounded));
  };
  int64_t j = 0;
  for (; j + 2 * kLanes <= count; j += 2 * kLanes) {
    V values[2], grads[2];
    HWY_UNROLL(2)
    for (int64_t half = 0; half < 2; ++half) {
      const V v = LoadFloats(d, x + j + half * kLanes);
      if constexpr (kGrad)
        values[half] = F::ValueAndGrad(d, v, grads[half]);
      else
        values[half] = F::Value(d, v);
    }
    store(values, y + j);
    if constexpr (kGrad) store(grads, activation_grad + j);
  }
  return j;
}
#endif

// Applies F to a row and, if kGrad, stores the derivative in activation_grad. The last elements, if
// they do not fill a vector, go through a padded copy.
template <class F, bool kGrad, class T>
HWY_INLINE void MapRow(int64_t count, const T* x, T* y, T* activation_grad) {
  int64_t j = 0;
#if HWY_TARGET == HWY_AVX3 && COMBINER_HAS_AMX
  if constexpr (std::is_same_v<T, bfloat16>)
    if (amx_available()) j = MapPairs<F, kGrad>(count, x, y, activation_grad);
#endif
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

}  // namespace combiner
#endif  // HWY_ONCE
