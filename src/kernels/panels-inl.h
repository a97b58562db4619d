// What the kernels of panels share, compiled once for each instruction set.

#if defined(COMBINER_KERNELS_PANELS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef COMBINER_KERNELS_PANELS_INL_H_
#undef COMBINER_KERNELS_PANELS_INL_H_
#else
#define COMBINER_KERNELS_PANELS_INL_H_
#endif

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
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

// A layer's outputs, as vectors of floats, activated before they are stored as Y. They are rounded
// to Y before, as where they pass through memory on their way.
template <class Y, class D, class V>
HWY_INLINE V Activated(D d, std::optional<Activation> activation, V v) {
  if (!activation) return v;
  if constexpr (std::is_same_v<Y, bfloat16>)
    v = hn::BitCast(d, hn::ShiftLeft<16>(Bfloat16Bits(d, v)));
  if (*activation == Activation::relu) return Relu<Y>::Value(d, v);
  return Gelu<Y>::Value(d, v);
}

// What a row's inputs, as whole numbers from -127 to 127, are multiplied by: the largest |from| /
// 127. That is no finite number if one of `from` is not, which makes the row's sums none either; it
// is 0 where it would be too small for a normal float.
template <class X>
HWY_INLINE float QuantizedScale(const X* HWY_RESTRICT from, int64_t count) {
  constexpr float kMost = 127;
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di32;
  // Magnitudes as bits, which have the same order, with NaN at its end.
  auto most = hn::Zero(di32);
  int64_t j = 0;
  for (; j + kLanes <= count; j += kLanes)
    most = hn::Max(most, hn::BitCast(di32, hn::Abs(LoadFloats(d, from + j))));
  int32_t bits = hn::GetLane(hn::MaxOfLanes(di32, most));
  for (; j < count; ++j)
    bits = std::max(bits, std::bit_cast<int32_t>(std::abs(OneToFloat(from[j]))));
  const float scale = std::bit_cast<float>(bits) / kMost;
  return scale < std::numeric_limits<float>::min() ? 0 : scale;
}

// to[count] = the whole numbers nearest to from / scale; zeros if that is 0.
template <class X, class Integer>
HWY_INLINE void Quantize(const X* HWY_RESTRICT from, int64_t count, float scale,
                         Integer* HWY_RESTRICT to) {
  if (scale == 0) {
    std::fill_n(to, count, Integer{0});
    return;
  }
  const hn::ScalableTag<float> d;
  const hn::Rebind<Integer, decltype(d)> di;
  const float inverse = 1 / scale;
  const auto factor = hn::Set(d, inverse);
  int64_t j = 0;
  for (; j + kLanes <= count; j += kLanes) {
    const auto integers = hn::NearestInt(hn::Mul(LoadFloats(d, from + j), factor));
    hn::StoreU(hn::DemoteTo(di, integers), di, to + j);
  }
  for (; j < count; ++j) to[j] = static_cast<Integer>(std::lrint(OneToFloat(from[j]) * inverse));
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
