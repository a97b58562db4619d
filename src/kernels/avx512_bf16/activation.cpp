// Activation functions of bfloat16 with AVX-512 BF16.

#include "cpu/avx512.h"
#include "kernels/avx512_bf16/avx512_bf16.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/avx512_bf16/activation.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"         // also provides the intrinsics
#include "kernels/portable/activation-inl.h"
#include "kernels/portable/simd-inl.h"

#if COMBINER_AVX512_TARGET
HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE::avx512_bf16 {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

// Applies F to the elements of a row and, if kGrad, stores the derivative in activation_grad. Stops
// after the last whole pair of vectors and returns the number of elements processed. Works on pairs
// because processors with AVX512-BF16 round two vectors to bfloat16 in one instruction.
template <class F, bool kGrad>
COMBINER_AVX512_BF16 int64_t MapPairs(int64_t count, const bfloat16* x, bfloat16* y,
                                      bfloat16* activation_grad) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  constexpr int64_t kLanes = 16;
  const auto store = [](const V(&v)[2], bfloat16* to) COMBINER_AVX512_BF16 {
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

template <class F, bool kGrad>
void Map(const Matrix<const bfloat16>& x, const Matrix<bfloat16>& y,
         const Matrix<bfloat16>& activation_grad) {
  for (int64_t i = 0; i < x.rows; ++i) {
    bfloat16* grad = kGrad ? activation_grad.row(i) : nullptr;
    const int64_t j = MapPairs<F, kGrad>(x.columns, x.row(i), y.row(i), grad);
    MapRow<F, kGrad>(x.columns - j, x.row(i) + j, y.row(i) + j, kGrad ? grad + j : nullptr);
  }
}

template <class F>
void Activate(const Matrix<const bfloat16>& x, const Matrix<bfloat16>& y,
              const Matrix<bfloat16>& activation_grad) {
  return activation_grad.data ? Map<F, true>(x, y, activation_grad)
                              : Map<F, false>(x, y, activation_grad);
}

}  // namespace
}  // namespace combiner::HWY_NAMESPACE::avx512_bf16
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE && COMBINER_AVX512_KERNELS
namespace combiner::avx512_bf16 {

void activate(Activation activation, Matrix<const bfloat16> x, Matrix<bfloat16> y,
              Matrix<bfloat16> activation_grad) {
  using namespace N_AVX3;
  if (activation == Activation::relu)
    N_AVX3::avx512_bf16::Activate<Relu<bfloat16>>(x, y, activation_grad);
  else
    N_AVX3::avx512_bf16::Activate<Gelu<bfloat16>>(x, y, activation_grad);
}

}  // namespace combiner::avx512_bf16
#endif
