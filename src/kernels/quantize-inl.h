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
#include <type_traits>

#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

HWY_INLINE hn::Vec<hn::ScalableTag<uint32_t>> LoadBits(hn::ScalableTag<uint32_t> d,
                                                       const float* from) {
  return hn::BitCast(d, hn::LoadU(hn::ScalableTag<float>(), from));
}
HWY_INLINE hn::Vec<hn::ScalableTag<uint16_t>> LoadBits(hn::ScalableTag<uint16_t> d,
                                                       const bfloat16* from) {
  return hn::LoadU(d, &from->bits);
}

// What a row's numbers as whole ones, from -127 to 127, are multiplied by: the largest |from| /
// 127. That is no finite number if one of `from` is not, which makes sums of the row's none either;
// it is 0 where it would be too small for a normal float.
template <class X>
HWY_INLINE float QuantizedScale(const X* HWY_RESTRICT from, int64_t count) {
  constexpr float kMost = 127;
  // Magnitudes as bits, which have the same order, with NaN at its end.
  using Bits = hwy::UnsignedFromSize<sizeof(X)>;
  constexpr Bits kMagnitude = std::numeric_limits<Bits>::max() / 2;
  const hn::ScalableTag<Bits> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  auto most = hn::Zero(d);
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes)
    most = hn::Max(most, hn::And(LoadBits(d, from + j), hn::Set(d, kMagnitude)));
  Bits largest = hn::GetLane(hn::MaxOfLanes(d, most));
  for (; j < count; ++j)
    largest = std::max<Bits>(largest, std::bit_cast<Bits>(from[j]) & kMagnitude);
  const float scale = OneToFloat(std::bit_cast<X>(largest)) / kMost;
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
  const hn::RebindToUnsigned<decltype(d)> du;
  using Bits = std::make_unsigned_t<Integer>;
  const hn::Rebind<Bits, decltype(d)> di;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const float inverse = 1 / scale;
  const auto factor = hn::Set(d, inverse);
  // A float of this size has no bits for fractions: added to it, a small whole number is in its
  // lowest.
  const auto no_fractions = hn::Set(d, 0x1.8p23f);
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes) {
    // Rounded first, or compilers might make one rounding of the product and the sum.
    const auto whole = hn::Round(hn::Mul(LoadFloats(d, from + j), factor));
    const auto bits = hn::BitCast(du, hn::Add(whole, no_fractions));
    hn::StoreU(hn::TruncateTo(di, bits), di, reinterpret_cast<Bits*>(to + j));
  }
  for (; j < count; ++j) to[j] = static_cast<Integer>(std::lrint(OneToFloat(from[j]) * inverse));
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
