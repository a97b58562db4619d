// Sums over sixteen lanes, compiled once per instruction set.
//
// The bits of such a sum do not depend on the width of the vectors. Element j goes to lane j mod
// 16, and each lane adds its elements in order. At the end lane i + 8 is added to lane i, then i +
// 4, then i + 2, then i + 1. The sixteen lanes are one vector of AVX-512, two of AVX2 or four of
// 128 bits. Products are added by fused multiply-adds; without those (SSE4), bits differ.

#if defined(COMBINER_KERNELS_PORTABLE_SIXTEEN_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef COMBINER_KERNELS_PORTABLE_SIXTEEN_INL_H_
#undef COMBINER_KERNELS_PORTABLE_SIXTEEN_INL_H_
#else
#define COMBINER_KERNELS_PORTABLE_SIXTEEN_INL_H_
#endif

#include "kernels/portable/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Sixteen lanes, all zero at first.
struct Sixteen {
  using D = hn::CappedTag<float, 16>;
  using V = hn::Vec<D>;
  static constexpr int64_t kLanes = hn::MaxLanes(D());  // of a vector
  static constexpr int kVectors = static_cast<int>(16 / kLanes);

  HWY_INLINE Sixteen() {
    HWY_UNROLL(16)
    for (int i = 0; i < kVectors; ++i) v[i] = hn::Zero(D());
  }

  V v[kVectors];
};

// The first `count` elements, which do not fill a vector, followed by zeros. Reads no others.
template <class D, class T>
HWY_INLINE hn::Vec<D> LoadFirst(D d, [[maybe_unused]] const T* from,
                                [[maybe_unused]] int64_t count) {
#if HWY_TARGET != HWY_SCALAR
  if constexpr (hn::MaxLanes(d) > 1) {
    const hn::Half<D> half;
    constexpr int64_t kHalf = hn::MaxLanes(half);
    if (count > kHalf)
      return hn::Combine(d, LoadFirst(half, from + kHalf, count - kHalf), LoadFloats(half, from));
    if (count == kHalf) return hn::ZeroExtendVector(d, LoadFloats(half, from));
    if (count > 0) return hn::ZeroExtendVector(d, LoadFirst(half, from, count));
  }
#endif
  return hn::Zero(d);
}

// How much of a vector is elements: all lanes, or the first `count`, fewer than all. Load() reads
// the elements, as floats, and makes the other lanes zero; Keep() makes those of `x` zero.
struct AllLanes {
  template <class T>
  HWY_INLINE Sixteen::V Load(const T* from) const {
    return LoadFloats(Sixteen::D(), from);
  }
  HWY_INLINE Sixteen::V Keep(Sixteen::V x) const { return x; }
};
struct FirstLanes {
  template <class T>
  HWY_INLINE Sixteen::V Load(const T* from) const {
    return LoadFirst(Sixteen::D(), from, count);
  }
  HWY_INLINE Sixteen::V Keep(Sixteen::V x) const {
    return hn::IfThenElseZero(hn::FirstN(Sixteen::D(), static_cast<size_t>(count)), x);
  }

  int64_t count;
};

// Calls visit(j, v) for each vector of `count` elements, which fill whole vectors. The first
// element is j, and v is the vector of Sixteen that it belongs to.
template <class Visit>
HWY_INLINE void ForEachWholeVectorOf16(int64_t count, const Visit& visit) {
  int64_t j = 0;
  for (; j + 16 <= count; j += 16) {
    HWY_UNROLL(16)
    for (int v = 0; v < Sixteen::kVectors; ++v) visit(j + v * Sixteen::kLanes, v);
  }
  HWY_UNROLL(16)
  for (int v = 0; v + 1 < Sixteen::kVectors; ++v, j += Sixteen::kLanes)
    if (j < count) visit(j, v);
}

// Calls visit(lanes, j, v) in the same way for any number of elements, where `lanes` is an AllLanes
// or a FirstLanes.
template <class Visit>
HWY_INLINE void ForEachVectorOf16(int64_t count, const Visit& visit) {
  const int64_t whole = count / Sixteen::kLanes * Sixteen::kLanes;
  ForEachWholeVectorOf16(whole,
                         [&](int64_t j, int v) COMBINER_VISITOR { visit(AllLanes(), j, v); });
  if (whole == count) return;
  HWY_UNROLL(16)
  for (int v = 0; v < Sixteen::kVectors; ++v)
    if (whole / Sixteen::kLanes % Sixteen::kVectors == v)
      visit(FirstLanes{count - whole}, whole, v);
}

#if HWY_TARGET == HWY_SCALAR
HWY_INLINE float SumOf16(const Sixteen& lanes) {
  float x[16];
  for (int i = 0; i < 16; ++i) x[i] = hn::GetLane(lanes.v[i]);
  for (int step = 8; step > 0; step /= 2)
    for (int i = 0; i < step; ++i) x[i] += x[i + step];
  return x[0];
}
template <int n>
HWY_INLINE void StoreSumsOf16(const Sixteen (&lanes)[n], float* to) {
  for (int i = 0; i < n; ++i) to[i] = SumOf16(lanes[i]);
}
#else
using FourTag = hn::CappedTag<float, 4>;

// Adds the upper half to the lower until four lanes are left.
template <class D, class V>
HWY_INLINE hn::Vec<FourTag> FoldTo4(D d, V v) {
  if constexpr (hn::MaxLanes(d) == 4) {
    return v;
  } else {
    const hn::Half<D> half;
    return FoldTo4(half, hn::Add(hn::LowerHalf(half, v), hn::UpperHalf(half, v)));
  }
}
HWY_INLINE hn::Vec<FourTag> FoldTo4(Sixteen lanes) {
  HWY_UNROLL(4)
  for (int step = Sixteen::kVectors / 2; step > 0; step /= 2) {
    HWY_UNROLL(4)
    for (int i = 0; i < step; ++i) lanes.v[i] = hn::Add(lanes.v[i], lanes.v[i + step]);
  }
  return FoldTo4(Sixteen::D(), lanes.v[0]);
}

// The sum of all lanes.
HWY_INLINE float SumOf16(const Sixteen& lanes) {
  const auto four = FoldTo4(lanes);
  const auto two = hn::Add(four, hn::Shuffle1032(four));
  return hn::GetLane(hn::Add(two, hn::Shuffle2301(two)));
}

// to[i] = the sum of all of lanes[i].
template <int n>
HWY_INLINE void StoreSumsOf16(const Sixteen (&lanes)[n], float* to) {
  static_assert(n == 1 || n == 4);
  if constexpr (n == 1) {
    to[0] = SumOf16(lanes[0]);
  } else {
    const FourTag d;
    const auto a = FoldTo4(lanes[0]), b = FoldTo4(lanes[1]);
    const auto e = FoldTo4(lanes[2]), f = FoldTo4(lanes[3]);
    // (a0 + a2, b0 + b2, a1 + a3, b1 + b3), and the same for e and f.
    const auto ab = hn::Add(hn::InterleaveLower(d, a, b), hn::InterleaveUpper(d, a, b));
    const auto ef = hn::Add(hn::InterleaveLower(d, e, f), hn::InterleaveUpper(d, e, f));
    const hn::RepartitionToWide<FourTag> pairs;
    const auto ab_pairs = hn::BitCast(pairs, ab), ef_pairs = hn::BitCast(pairs, ef);
    hn::StoreU(hn::Add(hn::BitCast(d, hn::InterleaveLower(pairs, ab_pairs, ef_pairs)),
                       hn::BitCast(d, hn::InterleaveUpper(pairs, ab_pairs, ef_pairs))),
               d, to);
  }
}
#endif

// The sum of `count` values.
HWY_INLINE float SumOf(const float* values, int64_t count) {
  Sixteen sum;
  ForEachVectorOf16(count, [&](auto lanes, int64_t j, int v) COMBINER_VISITOR {
    sum.v[v] = hn::Add(sum.v[v], lanes.Load(values + j));
  });
  return SumOf16(sum);
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
