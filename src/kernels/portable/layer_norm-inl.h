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
#include "kernels/portable/sixteen-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Rows processed together. Each row's sum is a dependency chain, and several chains overlap.
constexpr int kRowsAtOnce = 4;

template <int kRows>
HWY_INLINE void Moments(const Matrix<const float>& x, float epsilon, RowMoments* moments) {
  const Sixteen::D d;
  const auto count = static_cast<float>(x.columns);
  float total[kRows];
  {
    Sixteen sum[kRows];
    ForEachVectorOf16(x.columns, [&](auto lanes, int64_t j, int v) COMBINER_VISITOR {
      HWY_UNROLL(4)
      for (int i = 0; i < kRows; ++i) {
        FetchAhead(x.row(i) + j);
        sum[i].v[v] = hn::Add(sum[i].v[v], lanes.Load(x.row(i) + j));
      }
    });
    StoreSumsOf16(sum, total);
  }
  Sixteen::V mean[kRows];
  HWY_UNROLL(4)
  for (int i = 0; i < kRows; ++i) {
    moments[i].mean = total[i] / count;
    mean[i] = hn::Set(d, moments[i].mean);
  }

  // A second pass, over rows that are now in cache: computing the variance as the difference of two
  // large sums would lose its precision.
  Sixteen sum[kRows];
  ForEachVectorOf16(x.columns, [&](auto lanes, int64_t j, int v) COMBINER_VISITOR {
    HWY_UNROLL(4)
    for (int i = 0; i < kRows; ++i) {
      const auto centred = lanes.Keep(hn::Sub(lanes.Load(x.row(i) + j), mean[i]));
      sum[i].v[v] = hn::MulAdd(centred, centred, sum[i].v[v]);
    }
  });
  StoreSumsOf16(sum, total);
  HWY_UNROLL(4)
  for (int i = 0; i < kRows; ++i)
    moments[i].inverse_deviation = 1.0f / std::sqrt(total[i] / count + epsilon);
}

// y = (x - mean) / deviation * weight + bias.
template <int kRows, class T>
HWY_INLINE void Normalise(const Matrix<const float>& x, const RowMoments* moments,
                          const Matrix<T>& y, const float* weight, const float* bias) {
  // Copies, which the rows that are stored can't overlap.
  float mean[kRows], scale[kRows];
  HWY_UNROLL(4)
  for (int i = 0; i < kRows; ++i) {
    mean[i] = moments[i].mean;
    scale[i] = moments[i].inverse_deviation;
  }
  ForEachVector(x.columns, [&](auto d, int64_t j) COMBINER_VISITOR {
    const auto w = hn::LoadU(d, weight + j);
    const auto b = hn::LoadU(d, bias + j);
    HWY_UNROLL(4)
    for (int i = 0; i < kRows; ++i) {
      const auto centred = hn::Sub(hn::LoadU(d, x.row(i) + j), hn::Set(d, mean[i]));
      const auto normal = hn::Mul(centred, hn::Set(d, scale[i]));
      StoreFloats(d, hn::MulAdd(normal, w, b), y.row(i) + j);
    }
  });
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
