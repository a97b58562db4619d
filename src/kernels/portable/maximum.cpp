#include "kernels/maximum.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/portable/maximum.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/portable/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class T>
void Maximum(const T* a, const T* b, int64_t count, T* out) {
  ForEachVector(count, [&](auto d, int64_t j) COMBINER_VISITOR {
    StoreFloats(d, hn::Max(LoadFloats(d, a + j), LoadFloats(d, b + j)), out + j);
  });
}

template <class T>
void MaximumBackward(const T* x, const T* maximum, int64_t count, float* HWY_RESTRICT gradient,
                     float* HWY_RESTRICT d_x) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes) {
    const auto is_maximum = hn::Eq(LoadFloats(d, x + j), LoadFloats(d, maximum + j));
    const auto g = hn::LoadU(d, gradient + j);
    hn::StoreU(hn::Add(hn::LoadU(d, d_x + j), hn::IfThenElseZero(is_maximum, g)), d, d_x + j);
    hn::StoreU(hn::IfThenZeroElse(is_maximum, g), d, gradient + j);
  }
  for (; j < count; ++j)
    if (OneToFloat(x[j]) == OneToFloat(maximum[j])) {
      d_x[j] += gradient[j];
      gradient[j] = 0.0f;
    }
}

// Highway's dispatch needs plain functions, not templates.
void MaximumFloat(const float* a, const float* b, int64_t count, float* out) {
  Maximum(a, b, count, out);
}
void MaximumBfloat16(const bfloat16* a, const bfloat16* b, int64_t count, bfloat16* out) {
  Maximum(a, b, count, out);
}
void MaximumBackwardFloat(const float* x, const float* maximum, int64_t count, float* gradient,
                          float* d_x) {
  MaximumBackward(x, maximum, count, gradient, d_x);
}
void MaximumBackwardBfloat16(const bfloat16* x, const bfloat16* maximum, int64_t count,
                             float* gradient, float* d_x) {
  MaximumBackward(x, maximum, count, gradient, d_x);
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace combiner {

HWY_EXPORT(MaximumFloat);
HWY_EXPORT(MaximumBfloat16);
HWY_EXPORT(MaximumBackwardFloat);
HWY_EXPORT(MaximumBackwardBfloat16);

template <>
void maximum(const float* a, const float* b, int64_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(MaximumFloat)(a, b, count, out);
}
template <>
void maximum(const bfloat16* a, const bfloat16* b, int64_t count, bfloat16* out) {
  HWY_DYNAMIC_DISPATCH(MaximumBfloat16)(a, b, count, out);
}
template <>
void maximum_backward(const float* x, const float* maximum, int64_t count, float* gradient,
                      float* d_x) {
  HWY_DYNAMIC_DISPATCH(MaximumBackwardFloat)(x, maximum, count, gradient, d_x);
}
template <>
void maximum_backward(const bfloat16* x, const bfloat16* maximum, int64_t count, float* gradient,
                      float* d_x) {
  HWY_DYNAMIC_DISPATCH(MaximumBackwardBfloat16)(x, maximum, count, gradient, d_x);
}

}  // namespace combiner
#endif  // HWY_ONCE
