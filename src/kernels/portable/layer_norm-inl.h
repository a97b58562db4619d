// Layer normalisation of rows, compiled once per instruction set.

#if defined(COMBINER_KERNELS_PORTABLE_LAYER_NORM_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef COMBINER_KERNELS_PORTABLE_LAYER_NORM_INL_H_
#undef COMBINER_KERNELS_PORTABLE_LAYER_NORM_INL_H_
#else
#define COMBINER_KERNELS_PORTABLE_LAYER_NORM_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "kernels/layer_norm.h"
#include "kernels/portable/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Rows processed together. Each row's sum is a dependency chain, and several chains overlap.
constexpr int kRowsAtOnce = 4;

template <int kRows>
HWY_INLINE void Moments(const Matrix<const float>& x, float epsilon, RowMoments* moments) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t whole = x.columns / lanes * lanes;
  const auto count = static_cast<float>(x.columns);
  V sum[kRows], mean[kRows];
  HWY_UNROLL(4)
  for (int i = 0; i < kRows; ++i) sum[i] = hn::Zero(d);
  for (int64_t j = 0; j < whole; j += lanes) {
    HWY_UNROLL(4)
    for (int i = 0; i < kRows; ++i) {
      FetchAhead(x.row(i) + j);
      sum[i] = hn::Add(sum[i], hn::LoadU(d, x.row(i) + j));
    }
  }
  HWY_UNROLL(4)
  for (int i = 0; i < kRows; ++i) {
    float total = hn::GetLane(hn::SumOfLanes(d, sum[i]));
    for (int64_t j = whole; j < x.columns; ++j) total += x.row(i)[j];
    moments[i].mean = total / count;
    mean[i] = hn::Set(d, moments[i].mean);
    sum[i] = hn::Zero(d);
  }

  // A second pass, over rows that are now in cache: computing the variance as the difference of two
  // large sums would lose its precision.
  for (int64_t j = 0; j < whole; j += lanes) {
    HWY_UNROLL(4)
    for (int i = 0; i < kRows; ++i) {
      const V centred = hn::Sub(hn::LoadU(d, x.row(i) + j), mean[i]);
      sum[i] = hn::MulAdd(centred, centred, sum[i]);
    }
  }
  HWY_UNROLL(4)
  for (int i = 0; i < kRows; ++i) {
    float variance = hn::GetLane(hn::SumOfLanes(d, sum[i]));
    for (int64_t j = whole; j < x.columns; ++j) {
      const float centred = x.row(i)[j] - moments[i].mean;
      variance += centred * centred;
    }
    moments[i].inverse_deviation = 1.0f / std::sqrt(variance / count + epsilon);
  }
}

// y = (x - mean) / deviation * weight + bias.
template <int kRows, class T>
HWY_INLINE void Normalise(const Matrix<const float>& x, const RowMoments* moments,
                          const Matrix<T>& y, const float* weight, const float* bias) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  V mean[kRows], scale[kRows];
  HWY_UNROLL(4)
  for (int i = 0; i < kRows; ++i) {
    mean[i] = hn::Set(d, moments[i].mean);
    scale[i] = hn::Set(d, moments[i].inverse_deviation);
  }
  int64_t j = 0;
  for (; j + lanes <= x.columns; j += lanes) {
    const V w = hn::LoadU(d, weight + j);
    const V b = hn::LoadU(d, bias + j);
    HWY_UNROLL(4)
    for (int i = 0; i < kRows; ++i) {
      const V normal = hn::Mul(hn::Sub(hn::LoadU(d, x.row(i) + j), mean[i]), scale[i]);
      StoreFloats(d, hn::MulAdd(normal, w, b), y.row(i) + j);
    }
  }
  for (; j < x.columns; ++j)
    for (int i = 0; i < kRows; ++i)
      StoreOne((x.row(i)[j] - moments[i].mean) * moments[i].inverse_deviation * weight[j] + bias[j],
               y.row(i) + j);
}

// Calls normalise(rows of x, their moments, rows of y) for a few rows at a time, and stores the
// moments in `to` if it is not null. The first argument is how many, as a constant.
template <class T, class Normalise>
HWY_INLINE void LayerNormRows(const Matrix<const float>& x, float epsilon, const Matrix<T>& y,
                              RowMoments* to, const Normalise& normalise) {
  int64_t i = 0;
  const auto next = [&](auto rows) HWY_ATTR {
    RowMoments moments[rows];
    Moments<rows>(x.row_block(i, rows), epsilon, moments);
    if (to) std::copy_n(moments, rows(), to + i);
    normalise(rows, x.row_block(i, rows), moments, y.row_block(i, rows));
    i += rows;
  };
  while (i + kRowsAtOnce <= x.rows) next(std::integral_constant<int, kRowsAtOnce>());
  while (i < x.rows) next(std::integral_constant<int, 1>());
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
