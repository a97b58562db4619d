#include "kernels/cross_entropy.h"

#include <algorithm>
#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/portable/cross_entropy.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/portable/simd-inl.h"
#include "kernels/portable/sixteen-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int64_t kMaxLogits = 256;

// exponentials[j] = exp((logits[j] - maximum) * factor).
HWY_INLINE void Exponentials(const float* HWY_RESTRICT logits, int64_t count, float maximum,
                             float factor, float* HWY_RESTRICT exponentials) {
  ForEachVector(count, [&](auto d, int64_t j) COMBINER_VISITOR {
    const auto below = hn::Sub(hn::LoadU(d, logits + j), hn::Set(d, maximum));
    hn::StoreU(FastExp(d, hn::Mul(below, hn::Set(d, factor))), d, exponentials + j);
  });
}

HWY_INLINE float Maximum(const float* HWY_RESTRICT logits, int64_t count) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  auto high = hn::Set(d, -HUGE_VALF);
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes) high = hn::Max(high, hn::LoadU(d, logits + j));
  float maximum = hn::GetLane(hn::MaxOfLanes(d, high));
  for (; j < count; ++j) maximum = std::max(maximum, logits[j]);
  return maximum;
}

void CrossEntropy(const Matrix<const float>& logits, const uint8_t* targets, float* nats) {
  float exponentials[kMaxLogits];
  for (int64_t i = 0; i < logits.rows; ++i) {
    const float* row = logits.row(i);
    const float maximum = Maximum(row, logits.columns);
    Exponentials(row, logits.columns, maximum, 1.0f, exponentials);
    const float sum = SumOf(exponentials, logits.columns);
    nats[i] = std::log(sum) + (maximum - row[targets[i]]);
  }
}

template <class T>
void Gradient(const Matrix<const float>& logits, const uint8_t* targets, float scale, float* nats,
              const Matrix<T>& d_logits) {
  float exponentials[kMaxLogits];
  for (int64_t i = 0; i < logits.rows; ++i) {
    const float* row = logits.row(i);
    const float maximum = Maximum(row, logits.columns);
    Exponentials(row, logits.columns, maximum, 1.0f, exponentials);
    const float sum = SumOf(exponentials, logits.columns);
    nats[i] = std::log(sum) + (maximum - row[targets[i]]);
    const float factor = scale / sum;
    exponentials[targets[i]] -= sum;
    T* out = d_logits.row(i);
    ForEachVector(logits.columns, [&](auto d, int64_t j) COMBINER_VISITOR {
      StoreFloats(d, hn::Mul(hn::LoadU(d, exponentials + j), hn::Set(d, factor)), out + j);
    });
  }
}

void GradientFloat(const Matrix<const float>& logits, const uint8_t* targets, float scale,
                   float* nats, const Matrix<float>& d_logits) {
  Gradient(logits, targets, scale, nats, d_logits);
}
void GradientBfloat16(const Matrix<const float>& logits, const uint8_t* targets, float scale,
                      float* nats, const Matrix<bfloat16>& d_logits) {
  Gradient(logits, targets, scale, nats, d_logits);
}

void Range(std::span<const float> logits, LogitRange* range) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto count = static_cast<int64_t>(logits.size());
  range->maximum = Maximum(logits.data(), count);
  // x - x is 0 for a finite x and NaN otherwise.
  auto differences = hn::Zero(d);
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes) {
    const auto x = hn::LoadU(d, logits.data() + j);
    differences = hn::Add(differences, hn::Sub(x, x));
  }
  float sum = hn::GetLane(hn::SumOfLanes(d, differences));
  for (; j < count; ++j) sum += logits[static_cast<size_t>(j)] - logits[static_cast<size_t>(j)];
  range->finite = sum == 0.0f;
}

void SoftmaxWeights(std::span<const float> logits, float maximum, float factor,
                    std::span<float> weights) {
  Exponentials(logits.data(), static_cast<int64_t>(logits.size()), maximum, factor, weights.data());
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace combiner {

HWY_EXPORT(CrossEntropy);
HWY_EXPORT(Range);
HWY_EXPORT(SoftmaxWeights);
HWY_EXPORT(GradientFloat);
HWY_EXPORT(GradientBfloat16);

void cross_entropy(Matrix<const float> logits, const uint8_t* targets, float* nats) {
  HWY_DYNAMIC_DISPATCH(CrossEntropy)(logits, targets, nats);
}
template <>
void cross_entropy_gradient(Matrix<const float> logits, const uint8_t* targets, float scale,
                            float* nats, Matrix<float> d_logits) {
  HWY_DYNAMIC_DISPATCH(GradientFloat)(logits, targets, scale, nats, d_logits);
}
template <>
void cross_entropy_gradient(Matrix<const float> logits, const uint8_t* targets, float scale,
                            float* nats, Matrix<bfloat16> d_logits) {
  HWY_DYNAMIC_DISPATCH(GradientBfloat16)(logits, targets, scale, nats, d_logits);
}

LogitRange logit_range(std::span<const float> logits) {
  LogitRange range;
  HWY_DYNAMIC_DISPATCH(Range)(logits, &range);
  return range;
}
void softmax_weights(std::span<const float> logits, float maximum, float factor,
                     std::span<float> weights) {
  HWY_DYNAMIC_DISPATCH(SoftmaxWeights)(logits, maximum, factor, weights);
}

}  // namespace combiner
#endif  // HWY_ONCE
