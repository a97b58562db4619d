// Code shared by the kernels that multiply panels, compiled once per instruction set.

#if defined(COMBINER_KERNELS_PANELS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef COMBINER_KERNELS_PANELS_INL_H_
#undef COMBINER_KERNELS_PANELS_INL_H_
#else
#define COMBINER_KERNELS_PANELS_INL_H_
#endif

#include <optional>
#include <type_traits>

#include "kernels/activation-inl.h"
#include "kernels/panels.h"
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int64_t kWidth = PanelWeights::kPanelWidth;
constexpr int kLanes = static_cast<int>(hn::MaxLanes(hn::ScalableTag<float>()));

// Applies the activation, if any, to outputs of a layer that will be stored as Y. They are rounded
// to Y first, so that the result is the same as if the activation read stored outputs.
template <class Y, class D, class V>
HWY_INLINE V Activated(D d, std::optional<Activation> activation, V v) {
  if (!activation) return v;
  if constexpr (std::is_same_v<Y, bfloat16>)
    v = hn::BitCast(d, hn::ShiftLeft<16>(Bfloat16Bits(d, v)));
  if (*activation == Activation::relu) return Relu<Y>::Value(d, v);
  return Gelu<Y>::Value(d, v);
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
