// Products of panels by the dot products of AVX-512 BF16 and VNNI.

#include "cpu/avx512.h"
#include "kernels/avx512_bf16/avx512_bf16.h"
#include "kernels/portable/portable.h"

#define COMBINER_PANELS_AVX512_BF16
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/avx512_bf16/panels.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"         // also provides the intrinsics
#include "kernels/portable/panels-inl.h"

#if COMBINER_AVX512_TARGET
HWY_BEFORE_NAMESPACE();
HWY_PUSH_ATTRIBUTES("avx512bf16,avx512vnni")
namespace combiner::HWY_NAMESPACE::avx512_bf16 {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

template <class T>
HWY_INLINE int32_t FourBytes(const T* from) {
  int32_t bytes;
  std::memcpy(&bytes, from, sizeof(bytes));
  return bytes;
}

// Pairs of bfloat16. The instruction adds the two products one after the other, each with a
// rounding to float, and takes denormal numbers for zero.
struct DotStep : FloatSums {
  using Weight = bfloat16;
  using Input = bfloat16;
  static constexpr int64_t kDepths = 2;
  static constexpr int kMaxRows = max_rows(1);
  static HWY_INLINE __m512bh Weights(const bfloat16* from) {
    return reinterpret_cast<__m512bh>(_mm512_load_si512(from));
  }
  static HWY_INLINE __m512bh Inputs(const bfloat16* x) {
    return reinterpret_cast<__m512bh>(_mm512_set1_epi32(FourBytes(x)));
  }
  static HWY_INLINE Sum Add(__m512bh inputs, __m512bh weights, Sum sum) {
    return Sum{_mm512_dpbf16_ps(sum.raw, inputs, weights)};
  }
};

// Fours of 8-bit integers. The instruction wants one factor unsigned: inputs are more by 128, and
// sums begin with what that adds.
struct VnniStep {
  using Weight = int8_t;
  using Input = uint8_t;
  using Sum = __m512i;
  static constexpr int64_t kDepths = 4;
  static constexpr int kMaxRows = max_rows(1);
  static HWY_INLINE __m512i Weights(const int8_t* from) { return _mm512_load_si512(from); }
  static HWY_INLINE __m512i Inputs(const uint8_t* x) { return _mm512_set1_epi32(FourBytes(x)); }
  static HWY_INLINE Sum Add(__m512i inputs, __m512i weights, Sum sum) {
    return _mm512_dpbusd_epi32(sum, inputs, weights);
  }
  static HWY_INLINE Sum Begin(bool /*first*/, const float* /*sums*/, const int32_t* offsets) {
    return _mm512_load_si512(offsets);
  }
  static HWY_INLINE void End(Sum sum, float scale, bool first, float* sums) {
    EndIntegers(hn::Vec512<int32_t>{sum}, scale, first, sums);
  }
};

}  // namespace
}  // namespace combiner::HWY_NAMESPACE::avx512_bf16
HWY_POP_ATTRIBUTES
HWY_AFTER_NAMESPACE();
#endif

#if HWY_ONCE && COMBINER_AVX512_KERNELS
namespace combiner::avx512_bf16 {

const PanelKernel& bfloat16_panels() {
  using Step = N_AVX3::avx512_bf16::DotStep;
  static const PanelKernel kernel = {Step::kDepths,
                                     Step::kDepths,
                                     false,
                                     portable::bfloat16_panels().float_to_float,
                                     N_AVX3::Multiply<Step, bfloat16, float>,
                                     N_AVX3::Multiply<Step, bfloat16, bfloat16>};
  return kernel;
}

const PanelKernel& int8_panels() { return N_AVX3::KernelOf<N_AVX3::avx512_bf16::VnniStep>(); }

}  // namespace combiner::avx512_bf16
#endif
