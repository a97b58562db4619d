// Layer normalisation to bfloat16 with AVX-512 BF16.

#include "cpu/avx512.h"
#include "kernels/avx512_bf16/avx512_bf16.h"
#include "kernels/portable/portable.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/avx512_bf16/layer_norm.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"         // also provides the intrinsics
#include "kernels/portable/layer_norm-inl.h"

#if COMBINER_AVX512_TARGET
HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE::avx512_bf16 {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

// Elements in two vectors of floats.
constexpr int64_t kPair = 32;

// Normalise for rows of whole pairs of vectors, because one instruction rounds two vectors to
// bfloat16.
template <int kRows>
COMBINER_AVX512_BF16 void NormalisePairs(const Matrix<const float>& x, const RowMoments* moments,
                                         const Matrix<bfloat16>& y, const float* weight,
                                         const float* bias) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  for (int64_t j = 0; j < x.columns; j += kPair) {
    const V w[2] = {hn::LoadU(d, weight + j), hn::LoadU(d, weight + j + kPair / 2)};
    const V b[2] = {hn::LoadU(d, bias + j), hn::LoadU(d, bias + j + kPair / 2)};
    HWY_UNROLL(4)
    for (int i = 0; i < kRows; ++i) {
      const V mean = hn::Set(d, moments[i].mean), scale = hn::Set(d, moments[i].inverse_deviation);
      V normal[2];
      HWY_UNROLL(2)
      for (int64_t half = 0; half < 2; ++half) {
        const V value = hn::LoadU(d, x.row(i) + j + half * kPair / 2);
        normal[half] = hn::MulAdd(hn::Mul(hn::Sub(value, mean), scale), w[half], b[half]);
      }
      const __m512bh rounded = _mm512_cvtne2ps_pbh(normal[1].raw, normal[0].raw);
      _mm512_storeu_si512(y.row(i) + j, reinterpret_cast<__m512i>(rounded));
    }
  }
}

void LayerNorm(const Matrix<const float>& x, const float* weight, const float* bias, float epsilon,
               const Matrix<bfloat16>& y, RowMoments* moments) {
  LayerNormRows(x, epsilon, y, moments, [&](auto rows, const auto&... of_rows) HWY_ATTR {
    NormalisePairs<rows>(of_rows..., weight, bias);
  });
}

}  // namespace
}  // namespace combiner::HWY_NAMESPACE::avx512_bf16
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE && COMBINER_AVX512_KERNELS
namespace combiner::avx512_bf16 {

void layer_norm(Matrix<const float> x, const float* weight, const float* bias, float epsilon,
                Matrix<bfloat16> y, RowMoments* moments) {
  if (x.columns % N_AVX3::avx512_bf16::kPair != 0)
    return portable::layer_norm(x, weight, bias, epsilon, y, moments);
  N_AVX3::avx512_bf16::LayerNorm(x, weight, bias, epsilon, y, moments);
}

}  // namespace combiner::avx512_bf16
#endif
