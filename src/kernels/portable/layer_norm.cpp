#include "kernels/layer_norm.h"

#include "kernels/portable/portable.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/portable/layer_norm.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/portable/layer_norm-inl.h"
#include "kernels/portable/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class T>
void LayerNorm(const Matrix<const float>& x, const float* weight, const float* bias, float epsilon,
               const Matrix<T>& y, RowMoments* moments) {
  LayerNormRows(x, epsilon, y, moments, [&](auto rows, const auto&... of_rows) HWY_ATTR {
    Normalise<rows>(of_rows..., weight, bias);
  });
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

namespace portable {

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

}  // namespace portable

void layer_norm_backward(Matrix<const float> x, const RowMoments* moments, const float* weight,
                         Matrix<const float> d_y, Matrix<float> d_x, float* d_weight,
                         float* d_bias) {
  HWY_DYNAMIC_DISPATCH(LayerNormBackward)(x, moments, weight, d_y, d_x, d_weight, d_bias);
}

}  // namespace combiner
#endif  // HWY_ONCE
