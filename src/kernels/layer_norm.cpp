#include "kernels/layer_norm.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/layer_norm.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/amx.h"
#include "kernels/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Rows processed together. Each row's sum is a dependency chain, and several chains overlap.
constexpr int kRowsAtOnce = 4;
// Elements in two AVX-512 vectors of floats.
constexpr int64_t kPair = 32;

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
                          const float* weight, const float* bias, const Matrix<T>& y) {
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

#if HWY_TARGET == HWY_AVX3 && COMBINER_HAS_AMX
// The same for rows of whole pairs of vectors, because processors with AVX512-BF16 round two
// vectors to bfloat16 in one instruction.
template <int kRows>
COMBINER_AMX void NormalisePairs(const Matrix<const float>& x, const RowMoments* moments,
                                 const float* weight, const float* bias,
                                 const Matrix<bfloat16>& y) {
  const hn::ScalableTag<float> d;
  using V = hn::Vec<decltype(d)>;
  for (int64_t j = 0; j < x.columns; j += kPair) {
    const V w[2] = {hn::LoadU(d, weight + j), hn::LoadU(d, weight + j + kPair / 2)};
    const V b[2] = {hn::LoadU(d, bias + j), hn::LoadU(d, bias + j + kPair / 2)};
    HWY_UNROLL(4)
    for (int i = 0; i < kRows; ++i) {
      const V mean = hn::Set(d, moments[i].mean), scale = hn::Set(d, moments[i].inverse_deviation);
      V normal[2];
      HWY_UNROLL(2)
      for (int64_t half = 0; half < 2; ++half) {
        const V value = hn::LoadU(d, x.row(i) + j + half * kPair / 2);
        normal[half] = hn::MulAdd(hn::Mul(hn::Sub(value, mean), scale), w[half], b[half]);
      }
      const __m512bh rounded = _mm512_cvtne2ps_pbh(normal[1].raw, normal[0].raw);
      _mm512_storeu_si512(y.row(i) + j, reinterpret_cast<__m512i>(rounded));
    }
  }
}
#endif

template <int kRows, class T>
HWY_INLINE void LayerNormRows(const Matrix<const float>& x, const float* weight, const float* bias,
                              float epsilon, [[maybe_unused]] bool pairs, const Matrix<T>& y,
                              RowMoments* to) {
  RowMoments moments[kRows];
  Moments<kRows>(x, epsilon, moments);
  if (to) std::copy_n(moments, kRows, to);
#if HWY_TARGET == HWY_AVX3 && COMBINER_HAS_AMX
  if constexpr (std::is_same_v<T, bfloat16>)
    if (pairs) return NormalisePairs<kRows>(x, moments, weight, bias, y);
#endif
  Normalise<kRows>(x, moments, weight, bias, y);
}

template <class T>
void LayerNorm(const Matrix<const float>& x, const float* weight, const float* bias, float epsilon,
               const Matrix<T>& y, RowMoments* moments) {
  const bool pairs = amx_available() && x.columns % kPair == 0;
  int64_t i = 0;
  const auto next = [&](int64_t rows) { return x.row_block(i, rows); };
  const auto to = [&] { return moments ? moments + i : nullptr; };
  for (; i + kRowsAtOnce <= x.rows; i += kRowsAtOnce)
    LayerNormRows<kRowsAtOnce>(next(kRowsAtOnce), weight, bias, epsilon, pairs,
                               y.row_block(i, kRowsAtOnce), to());
  for (; i < x.rows; ++i)
    LayerNormRows<1>(next(1), weight, bias, epsilon, pairs, y.row_block(i, 1), to());
}

void LayerNormFloat(const Matrix<const float>& x, const float* weight, const float* bias,
                    float epsilon, const Matrix<float>& y, RowMoments* moments) {
  LayerNorm(x, weight, bias, epsilon, y, moments);
}
void LayerNormBfloat16(const Matrix<const float>& x, const float* weight, const float* bias,
                       float epsilon, const Matrix<bfloat16>& y, RowMoments* moments) {
  LayerNorm(x, weight, bias, epsilon, y, moments);
}

// With n = (x - mean) / deviation and g = d_y weight, the gradient through x is
// (g - mean(g) - n mean(g n)) / deviation.
void LayerNormBackward(const Matrix<const float>& x, const RowMoments* moments, const float* weight,
                       const Matrix<const float>& d_y, const Matrix<float>& d_x, float* d_weight,
                       float* d_bias) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const float per_column = 1.0f / static_cast<float>(x.columns);
  for (int64_t i = 0; i < x.rows; ++i) {
    const float* in = x.row(i);
    const float* dy = d_y.row(i);
    float* dx = d_x.row(i);
    const auto mean = hn::Set(d, moments[i].mean);
    const auto scale = hn::Set(d, moments[i].inverse_deviation);
    auto sum_g = hn::Zero(d);
    auto sum_gn = hn::Zero(d);
    int64_t j = 0;
    for (; j + lanes <= x.columns; j += lanes) {
      FetchAhead(in + j);
      const auto n = hn::Mul(hn::Sub(hn::LoadU(d, in + j), mean), scale);
      const auto dyj = hn::LoadU(d, dy + j);
      const auto g = hn::Mul(dyj, hn::LoadU(d, weight + j));
      sum_g = hn::Add(sum_g, g);
      sum_gn = hn::MulAdd(g, n, sum_gn);
      hn::StoreU(hn::MulAdd(dyj, n, hn::LoadU(d, d_weight + j)), d, d_weight + j);
      hn::StoreU(hn::Add(dyj, hn::LoadU(d, d_bias + j)), d, d_bias + j);
    }
    float total_g = hn::GetLane(hn::SumOfLanes(d, sum_g));
    float total_gn = hn::GetLane(hn::SumOfLanes(d, sum_gn));
    for (; j < x.columns; ++j) {
      const float n = (in[j] - moments[i].mean) * moments[i].inverse_deviation;
      total_g += dy[j] * weight[j];
      total_gn += dy[j] * weight[j] * n;
      d_weight[j] += dy[j] * n;
      d_bias[j] += dy[j];
    }
    const float mean_g = total_g * per_column;
    const float mean_gn = total_gn * per_column;
    for (j = 0; j + lanes <= x.columns; j += lanes) {
      const auto n = hn::Mul(hn::Sub(hn::LoadU(d, in + j), mean), scale);
      const auto g = hn::Mul(hn::LoadU(d, dy + j), hn::LoadU(d, weight + j));
      const auto inner = hn::NegMulAdd(n, hn::Set(d, mean_gn), hn::Sub(g, hn::Set(d, mean_g)));
      hn::StoreU(hn::MulAdd(inner, scale, hn::LoadU(d, dx + j)), d, dx + j);
    }
    for (; j < x.columns; ++j) {
      const float n = (in[j] - moments[i].mean) * moments[i].inverse_deviation;
      dx[j] += (dy[j] * weight[j] - mean_g - n * mean_gn) * moments[i].inverse_deviation;
    }
  }
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace combiner {

HWY_EXPORT(LayerNormFloat);
HWY_EXPORT(LayerNormBfloat16);
HWY_EXPORT(LayerNormBackward);

template <>
void layer_norm(Matrix<const float> x, const float* weight, const float* bias, float epsilon,
                Matrix<float> y, RowMoments* moments) {
  HWY_DYNAMIC_DISPATCH(LayerNormFloat)(x, weight, bias, epsilon, y, moments);
}
template <>
void layer_norm(Matrix<const float> x, const float* weight, const float* bias, float epsilon,
                Matrix<bfloat16> y, RowMoments* moments) {
  HWY_DYNAMIC_DISPATCH(LayerNormBfloat16)(x, weight, bias, epsilon, y, moments);
}
void layer_norm_backward(Matrix<const float> x, const RowMoments* moments, const float* weight,
                         Matrix<const float> d_y, Matrix<float> d_x, float* d_weight,
                         float* d_bias) {
  HWY_DYNAMIC_DISPATCH(LayerNormBackward)(x, moments, weight, d_y, d_x, d_weight, d_bias);
}

}  // namespace combiner
#endif  // HWY_ONCE
