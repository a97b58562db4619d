// Code shared by the kernels, compiled once per instruction set.

#if defined(COMBINER_KERNELS_PORTABLE_SIMD_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef COMBINER_KERNELS_PORTABLE_SIMD_INL_H_
#undef COMBINER_KERNELS_PORTABLE_SIMD_INL_H_
#else
#define COMBINER_KERNELS_PORTABLE_SIMD_INL_H_
#endif

#include <cstdint>

#include "hwy/cache_control.h"
#include "hwy/highway.h"
#include "tensor/bfloat16.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// 2^n for n = round(x factor), with n in two forms. Adding 1.5 * 2^23 to a float leaves it no
// fraction bits, so the lowest bits of `shifted` are the integer n. Shifted to the position of the
// exponent bits, they add n to an exponent.
template <class D, class V = hn::Vec<D>>
struct PowerOfTwo {
  HWY_INLINE PowerOfTwo(D d, V x, V factor) {
    const V round = hn::Set(d, 12582912.0f);
    shifted = hn::MulAdd(x, factor, round);
    n = hn::Sub(shifted, round);
  }
  // v 2^n for v near 1; 0 where x < low, whatever v and n are.
  HWY_INLINE V Scale(D d, V v, V x, V low) const {
    const hn::RebindToSigned<D> di;
    const auto exponent = hn::ShiftLeft<23>(hn::BitCast(di, shifted));
    return hn::BitCast(d, hn::IfThenZeroElse(hn::RebindMask(di, hn::Lt(x, low)),
                                             hn::Add(hn::BitCast(di, v), exponent)));
  }

  V shifted, n;
};

// log2(e), and the x at which e^x reaches the ends of the float range: 2^-126 and 2^127.4.
constexpr float kLog2E = 1.44269504f;
constexpr float kLowExp = -87.3f;
constexpr float kHighExp = 88.3f;

// e^x to 2 units in the last place, or 2.25 where a multiply-add rounds twice, for x <= 88. Larger
// x give at most e^88.3; x below about -87.3, including -infinity, gives 0. A NaN of an operation
// on other numbers stays a NaN. Computed as 2^n e^r with n = round(x / ln 2) and |r| <= ln(2) / 2,
// where e^r is approximated by the best polynomial of degree 5.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V FastExp(D d, V x) {
  const V high = hn::Set(d, kHighExp);
#if HWY_ARCH_X86 && HWY_TARGET != HWY_SCALAR
  x = hn::Min(high, x);  // in this order, it keeps a NaN
#else
  x = hn::IfThenElse(hn::Gt(x, high), high, x);  // Min would prefer a number to a NaN
#endif
  const PowerOfTwo<D> power(d, x, hn::Set(d, kLog2E));
  // ln 2 in two parts, the first of which has trailing zeros, so that r is accurate to its last
  // bits.
  V r = hn::NegMulAdd(power.n, hn::Set(d, 0.693359375f), x);
  r = hn::NegMulAdd(power.n, hn::Set(d, -2.12194440e-4f), r);
  V p = hn::Set(d, 8.289291e-3f);
  p = hn::MulAdd(p, r, hn::Set(d, 4.1897822e-2f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.16667652f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.4999915f));
  p = hn::MulAdd(p, r, hn::Set(d, 0.9999997f));
  p = hn::MulAdd(p, r, hn::Set(d, 1.0f));
  return power.Scale(d, p, x, hn::Set(d, kLowExp));
}

// 2^t with a relative error of 2^-13, for results that will be rounded to bfloat16 (2^-8). Beyond
// the range of float it gives 0 and infinity, or the numbers nearest to them. Computed as 2^n 2^f,
// where 2^f is approximated by the best polynomial of degree 3. On AVX-512, f = t - floor(t),
// because one instruction computes it and another scales by 2^floor(t); elsewhere |f| <= 1/2.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V PowerOfTwoCoarse(D d, V t) {
#if HWY_ARCH_X86 && HWY_CAP_GE512
  constexpr int kFraction = _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC;
  const V f{_mm512_reduce_ps(t.raw, kFraction)};
  V p = hn::Set(d, 7.8024522e-2f);
  p = hn::MulAdd(p, f, hn::Set(d, 0.22606717f));
  p = hn::MulAdd(p, f, hn::Set(d, 0.6958335f));
  p = hn::MulAdd(p, f, hn::Set(d, 0.9999252f));
  return V{_mm512_scalef_ps(p.raw, t.raw)};
#else
  t = hn::Min(t, hn::Set(d, kHighExp * kLog2E));
  const PowerOfTwo<D> power(d, t, hn::Set(d, 1.0f));
  const V f = hn::Sub(t, power.n);
  V p = hn::Set(d, 5.517167e-2f);
  p = hn::MulAdd(p, f, hn::Set(d, 0.24261113f));
  p = hn::MulAdd(p, f, hn::Set(d, 0.69326097f));
  p = hn::MulAdd(p, f, hn::Set(d, 0.99992806f));
  return power.Scale(d, p, t, hn::Set(d, kLowExp * kLog2E));
#endif
}
// e^x with the same accuracy.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V FastExpCoarse(D d, V x) {
  return PowerOfTwoCoarse(d, hn::Mul(x, hn::Set(d, kLog2E)));
}

// 1 / x with a relative error of 2^-14 on AVX-512 and correctly rounded elsewhere, for results that
// will be rounded to bfloat16. Gives 0 for infinity.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V ReciprocalCoarse(D d, V x) {
#if HWY_ARCH_X86 && HWY_CAP_GE512
  (void)d;
  return hn::ApproximateReciprocal(x);
#else
  return hn::Div(hn::Set(d, 1.0f), x);
#endif
}

// A visitor of vectors is a lambda that is inlined wherever it is called, so that its sums stay in
// registers.
#define COMBINER_VISITOR HWY_ATTR __attribute__((always_inline))

// Calls visit(d, j) for vectors, of type d, that begin at elements j and together make up `count`
// elements. They are as wide as fits: the last elements are half a vector, a quarter and so on. So
// they go through the same operations as the others, and get the same bits on vectors of any width.
template <class D, class Visit>
HWY_INLINE void ForEachVectorFrom(D d, int64_t j, int64_t count, const Visit& visit) {
  constexpr int64_t kLanes = hn::MaxLanes(d);
  for (; j + kLanes <= count; j += kLanes) visit(d, j);
  if constexpr (kLanes > 1)
    if (j < count) ForEachVectorFrom(hn::Half<D>(), j, count, visit);
}
template <class Visit>
HWY_INLINE void ForEachVector(int64_t count, const Visit& visit) {
  ForEachVectorFrom(hn::ScalableTag<float>(), 0, count, visit);
}

// Prefetches what will be read some time after `from`, further ahead than the hardware prefetcher
// does. For rows that mostly follow each other but are far from the cache.
template <class T>
HWY_INLINE void FetchAhead(const T* from) {
  constexpr size_t kBytes = 4096;
  hwy::Prefetch(from + kBytes / sizeof(T));
}

// Loads one vector of elements as floats.
template <class D>
HWY_INLINE hn::Vec<D> LoadFloats(D d, const float* from) {
  return hn::LoadU(d, from);
}
template <class D>
HWY_INLINE hn::Vec<D> LoadFloats(D d, const bfloat16* from) {
  const hn::Rebind<uint16_t, D> du16;
  const hn::Rebind<uint32_t, D> du32;
  const auto bits = hn::LoadU(du16, reinterpret_cast<const uint16_t*>(from));
  return hn::BitCast(d, hn::ShiftLeft<16>(hn::PromoteTo(du32, bits)));
}
template <class D>
HWY_INLINE hn::Vec<D> LoadFloats(D d, const int8_t* from) {
  const hn::Rebind<int8_t, D> di8;
  const hn::Rebind<int32_t, D> di32;
  return hn::ConvertTo(d, hn::PromoteTo(di32, hn::LoadU(di8, from)));
}

// The elements at even indices and those at odd indices.
template <class V>
struct Pairs {
  V even, odd;
};
template <class D>
HWY_INLINE Pairs<hn::Vec<D>> LoadPairs(D d, const bfloat16* from) {
  const hn::RebindToUnsigned<D> du32;
  const auto pairs = hn::LoadU(du32, reinterpret_cast<const uint32_t*>(from));
  return {hn::BitCast(d, hn::ShiftLeft<16>(pairs)),
          hn::BitCast(d, hn::And(pairs, hn::Set(du32, 0xffff0000u)))};
}

template <class D>
HWY_INLINE void StoreFloats(D d, hn::Vec<D> v, float* to) {
  hn::StoreU(v, d, to);
}
// v rounded to bfloat16, as bits in the lower half of each lane. Rounds to nearest even, as
// to_bfloat16 does; NaN stays NaN.
template <class D>
HWY_INLINE hn::Vec<hn::RebindToUnsigned<D>> Bfloat16Bits(D /*d*/, hn::Vec<D> v) {
  const hn::RebindToUnsigned<D> du32;
  const auto bits = hn::BitCast(du32, v);
  const auto odd = hn::And(hn::ShiftRight<16>(bits), hn::Set(du32, 1));
  const auto rounded = hn::ShiftRight<16>(hn::Add(bits, hn::Add(odd, hn::Set(du32, 0x7fff))));
  const auto quiet = hn::Or(hn::ShiftRight<16>(bits), hn::Set(du32, 0x40));
  return hn::IfThenElse(hn::RebindMask(du32, hn::IsNaN(v)), quiet, rounded);
}
template <class D>
HWY_INLINE void StoreFloats(D d, hn::Vec<D> v, bfloat16* to) {
  const hn::Rebind<uint16_t, D> du16;
  hn::StoreU(hn::TruncateTo(du16, Bfloat16Bits(d, v)), du16, reinterpret_cast<uint16_t*>(to));
}

template <class D>
HWY_INLINE void StorePairs(D d, const Pairs<hn::Vec<D>>& pairs, bfloat16* to) {
  const hn::RebindToUnsigned<D> du32;
  const auto odd = hn::ShiftLeft<16>(Bfloat16Bits(d, pairs.odd));
  hn::StoreU(hn::Or(Bfloat16Bits(d, pairs.even), odd), du32, reinterpret_cast<uint32_t*>(to));
}

template <class T>
HWY_INLINE float OneToFloat(T x) {
  return to_float(x);
}
HWY_INLINE float OneToFloat(int8_t x) { return x; }
HWY_INLINE void StoreOne(float x, float* to) { *to = x; }
HWY_INLINE void StoreOne(float x, bfloat16* to) { *to = to_bfloat16(x); }

// to[j] = from[j], rounded if To has less precision.
template <class From, class To>
HWY_INLINE void ConvertRow(const From* from, int64_t count, To* to) {
  ForEachVector(count, [&](auto d, int64_t j)
                           COMBINER_VISITOR { StoreFloats(d, LoadFloats(d, from + j), to + j); });
}

// to[j] = from[j] * scale.
template <class T>
HWY_INLINE void ScaleToFloat(const T* HWY_RESTRICT from, int64_t count, float scale,
                             float* HWY_RESTRICT to) {
  ForEachVector(count, [&](auto d, int64_t j) COMBINER_VISITOR {
    hn::StoreU(hn::Mul(LoadFloats(d, from + j), hn::Set(d, scale)), d, to + j);
  });
}

// out[j] = a[j] * a_weight + b[j] * b_weight. `out` may be a or b. If b_weight is zero, b is not
// read.
template <class A, class B, class Out>
HWY_INLINE void WeightedSum(const A* a, float a_weight, const B* b, float b_weight, int64_t count,
                            Out* out) {
  if (b_weight == 0.0f) {
    ForEachVector(count, [&](auto d, int64_t j) COMBINER_VISITOR {
      StoreFloats(d, hn::Mul(LoadFloats(d, a + j), hn::Set(d, a_weight)), out + j);
    });
    return;
  }
  ForEachVector(count, [&](auto d, int64_t j) COMBINER_VISITOR {
    const auto weighted_b = hn::Mul(LoadFloats(d, b + j), hn::Set(d, b_weight));
    StoreFloats(d, hn::MulAdd(LoadFloats(d, a + j), hn::Set(d, a_weight), weighted_b), out + j);
  });
}

// A block of TileProduct whose sums stay in registers: kRows rows and kVectors vectors of columns.
template <bool kAccumulate, int kRows, int kVectors>
HWY_INLINE void TileProductBlock(int64_t depth, const float* HWY_RESTRICT a, int64_t a_row,
                                 int64_t a_depth, const float* HWY_RESTRICT b, int64_t b_stride,
                                 float* HWY_RESTRICT c, int64_t c_stride) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  V sum[kRows][kVectors];
  HWY_UNROLL(8)
  for (int i = 0; i < kRows; ++i) {
    HWY_UNROLL(8)
    for (int v = 0; v < kVectors; ++v)
      sum[i][v] = kAccumulate ? hn::LoadU(d, c + i * c_stride + v * lanes) : hn::Zero(d);
  }
  for (int64_t k = 0; k < depth; ++k) {
    V bk[kVectors];
    HWY_UNROLL(8)
    for (int v = 0; v < kVectors; ++v) bk[v] = hn::LoadU(d, b + k * b_stride + v * lanes);
    HWY_UNROLL(8)
    for (int i = 0; i < kRows; ++i) {
      const V aik = hn::Set(d, a[i * a_row + k * a_depth]);
      HWY_UNROLL(8)
      for (int v = 0; v < kVectors; ++v) sum[i][v] = hn::MulAdd(aik, bk[v], sum[i][v]);
    }
  }
  HWY_UNROLL(8)
  for (int i = 0; i < kRows; ++i) {
    HWY_UNROLL(8)
    for (int v = 0; v < kVectors; ++v) hn::StoreU(sum[i][v], d, c + i * c_stride + v * lanes);
  }
}

template <bool kAccumulate, int kVectors>
HWY_INLINE void TileProductColumns(int64_t rows, int64_t depth, const float* a, int64_t a_row,
                                   int64_t a_depth, const float* b, int64_t b_stride, float* c,
                                   int64_t c_stride) {
  int64_t i = 0;
  for (; i + 4 <= rows; i += 4)
    TileProductBlock<kAccumulate, 4, kVectors>(depth, a + i * a_row, a_row, a_depth, b, b_stride,
                                               c + i * c_stride, c_stride);
  for (; i < rows; ++i)
    TileProductBlock<kAccumulate, 1, kVectors>(depth, a + i * a_row, a_row, a_depth, b, b_stride,
                                               c + i * c_stride, c_stride);
}

// c[rows, columns] (+)= A b, for small matrices in cache. A(i, k) = a[i * a_row + k * a_depth].
// Rows of b and c are whole vectors: `columns` is a multiple of the number of lanes. The sum over k
// is in order, whatever the other sizes.
template <bool kAccumulate>
HWY_INLINE void TileProduct(int64_t rows, int64_t columns, int64_t depth, const float* a,
                            int64_t a_row, int64_t a_depth, const float* b, int64_t b_stride,
                            float* c, int64_t c_stride) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(hn::ScalableTag<float>()));
  int64_t j = 0;
  for (; j + 2 * lanes <= columns; j += 2 * lanes)
    TileProductColumns<kAccumulate, 2>(rows, depth, a, a_row, a_depth, b + j, b_stride, c + j,
                                       c_stride);
  for (; j < columns; j += lanes)
    TileProductColumns<kAccumulate, 1>(rows, depth, a, a_row, a_depth, b + j, b_stride, c + j,
                                       c_stride);
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
