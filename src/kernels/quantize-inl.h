// Rows as whole numbers and a scale, compiled once for each instruction set.

#if defined(COMBINER_KERNELS_QUANTIZE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef COMBINER_KERNELS_QUANTIZE_INL_H_
#undef COMBINER_KERNELS_QUANTIZE_INL_H_
#else
#define COMBINER_KERNELS_QUANTIZE_INL_H_
#endif

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// What a row's numbers as whole ones, from -127 to 127, are multiplied by: the largest |from| /
// 127. That is no finite number if one of `from` is not, which makes sums of the row's none either;
// it is 0 where it would be too small for a normal float.
template <class X>
HWY_INLINE float QuantizedScale(const X* HWY_RESTRICT from, int64_t count) {
  constexpr float kMost = 127;
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di32;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  // Magnitudes as bits, which have the same order, with NaN at its end.
  auto most = hn::Zero(di32);
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes)
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
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const float inverse = 1 / scale;
  const auto factor = hn::Set(d, inverse);
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes) {
    const auto integers = hn::NearestInt(hn::Mul(LoadFloats(d, from + j), factor));
    hn::StoreU(hn::DemoteTo(di, integers), di, to + j);
  }
  for (; j < count; ++j) to[j] = static_cast<Integer>(std::lrint(OneToFloat(from[j]) * inverse));
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
