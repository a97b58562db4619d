// Quantising rows to integers with a scale, compiled once per instruction set.

#if defined(COMBINER_KERNELS_PORTABLE_QUANTIZE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef COMBINER_KERNELS_PORTABLE_QUANTIZE_INL_H_
#undef COMBINER_KERNELS_PORTABLE_QUANTIZE_INL_H_
#else
#define COMBINER_KERNELS_PORTABLE_QUANTIZE_INL_H_
#endif

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include "kernels/portable/simd-inl.h"

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

// The scale of a row that is quantised to integers from -127 to 127: the largest |from| / 127. If
// an element is not finite, the scale is not finite either, and so neither are sums of the row's
// products. The scale is 0 if it would be too small for a normal float.
template <class X>
HWY_INLINE float QuantizedScale(const X* HWY_RESTRICT from, int64_t count) {
  constexpr float kMaxInt8 = 127;
  // Compares magnitudes as bits: they have the same order, with NaN after infinity.
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
  const float scale = OneToFloat(std::bit_cast<X>(largest)) / kMaxInt8;
  return scale < std::numeric_limits<float>::min() ? 0 : scale;
}

// The factor that turns the elements of a row into integers: 1 / scale (0 for a scale of 0), with
// the mantissa cut to 16 bits. So products with bfloat16 are exact, and adding something to such a
// product rounds only once, fused or not.
HWY_INLINE float InverseScale(float scale) {
  constexpr uint32_t kKept = ~uint32_t{0xff};
  return scale == 0 ? 0 : std::bit_cast<float>(std::bit_cast<uint32_t>(1 / scale) & kKept);
}

// A float of this size has no fraction bits. Adding it to a small number rounds the number to an
// integer and leaves that integer in the lowest bits.
constexpr float kRounder = 0x1.8p23f;

// x * inverse + kRounder.
template <class D>
HWY_INLINE hn::Vec<D> AddRounder(D d, hn::Vec<D> x, float inverse, bfloat16 /*type of x*/) {
  return hn::MulAdd(x, hn::Set(d, inverse), hn::Set(d, kRounder));
}
// With float, the product is not exact, so it is rounded to an integer first. Otherwise compilers
// could fuse the product and the sum, which would change the rounding.
template <class D>
HWY_INLINE hn::Vec<D> AddRounder(D d, hn::Vec<D> x, float inverse, float /*type of x*/) {
  return hn::Add(hn::Round(hn::Mul(x, hn::Set(d, inverse))), hn::Set(d, kRounder));
}

// to[j] = the integer nearest to from[j] / scale, a quotient computed to within 1/250; 0 if scale
// is 0.
template <class X, class Integer>
HWY_INLINE void Quantize(const X* HWY_RESTRICT from, int64_t count, float scale,
                         Integer* HWY_RESTRICT to) {
  const hn::ScalableTag<float> d;
  const hn::RebindToUnsigned<decltype(d)> du;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const float inverse = InverseScale(scale);
  const auto bits_of = [&](hn::Vec<decltype(d)> x) {
    return hn::BitCast(du, AddRounder(d, x, inverse, X{}));
  };
  int64_t j = 0;
  if constexpr (std::is_same_v<X, bfloat16> && sizeof(Integer) == 1) {
    const hn::Rebind<uint16_t, decltype(d)> pairs;
    for (; j + 2 * lanes <= count; j += 2 * lanes) {
      const auto [even, odd] = LoadPairs(d, from + j);
      const auto low = hn::And(bits_of(even), hn::Set(du, 0xff));
      const auto pair = hn::Or(low, hn::ShiftLeft<8>(bits_of(odd)));
      hn::StoreU(hn::TruncateTo(pairs, pair), pairs, reinterpret_cast<uint16_t*>(to + j));
    }
  }
  using Bits = std::make_unsigned_t<Integer>;
  const hn::Rebind<Bits, decltype(d)> di;
  for (; j + lanes <= count; j += lanes)
    hn::StoreU(hn::TruncateTo(di, bits_of(LoadFloats(d, from + j))), di,
               reinterpret_cast<Bits*>(to + j));
  for (; j < count; ++j) to[j] = static_cast<Integer>(std::lrint(OneToFloat(from[j]) * inverse));
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
