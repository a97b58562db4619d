#include "kernels/descent.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/portable/descent.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/portable/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

void AdamDirection(const float* gradient, float gradient_scale, const AdamSettings& settings,
                   float* moment1, float* moment2, float* direction, size_t size) {
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  const auto beta1 = hn::Set(d, settings.beta1);
  const auto beta2 = hn::Set(d, settings.beta2);
  const auto one_minus_beta1 = hn::Set(d, 1.0f - settings.beta1);
  const auto one_minus_beta2 = hn::Set(d, 1.0f - settings.beta2);
  size_t i = 0;
  for (; i + lanes <= size; i += lanes) {
    const auto g = hn::Mul(hn::LoadU(d, gradient + i), hn::Set(d, gradient_scale));
    const auto m = hn::MulAdd(hn::LoadU(d, moment1 + i), beta1, hn::Mul(g, one_minus_beta1));
    const auto v =
        hn::MulAdd(hn::LoadU(d, moment2 + i), beta2, hn::Mul(hn::Mul(g, g), one_minus_beta2));
    hn::StoreU(m, d, moment1 + i);
    hn::StoreU(v, d, moment2 + i);
    const auto denominator = hn::Add(hn::Sqrt(hn::Mul(v, hn::Set(d, settings.correction2))),
                                     hn::Set(d, settings.epsilon));
    hn::StoreU(hn::Div(hn::Mul(m, hn::Set(d, settings.correction1)), denominator), d,
               direction + i);
  }
  for (; i < size; ++i) {
    const float g = gradient[i] * gradient_scale;
    moment1[i] = moment1[i] * settings.beta1 + g * (1.0f - settings.beta1);
    moment2[i] = moment2[i] * settings.beta2 + g * g * (1.0f - settings.beta2);
    direction[i] = moment1[i] * settings.correction1 /
                   (std::sqrt(moment2[i] * settings.correction2) + settings.epsilon);
  }
}

void Combine(float a, const float* x, float b, const float* y, float* out, size_t size) {
  WeightedSum(x, a, y, b, static_cast<int64_t>(size), out);
}

void CombineBfloat16(float a, const bfloat16* x, float b, const float* y, bfloat16* out,
                     size_t size) {
  WeightedSum(x, a, y, b, static_cast<int64_t>(size), out);
}

double SumOfSquares(const float* values, size_t size) {
  // Sums short runs in float lanes, and adds up the runs in double.
  constexpr size_t kRun = 1024;
  const hn::ScalableTag<float> d;
  const size_t lanes = hn::Lanes(d);
  double total = 0;
  for (size_t first = 0; first < size; first += kRun) {
    const size_t end = std::min(size, first + kRun);
    auto sum = hn::Zero(d);
    size_t i = first;
    for (; i + lanes <= end; i += lanes) {
      const auto v = hn::LoadU(d, values + i);
      sum = hn::MulAdd(v, v, sum);
    }
    total += hn::GetLane(hn::SumOfLanes(d, sum));
    for (; i < end; ++i) total += double{values[i]} * values[i];
  }
  return total;
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace combiner {

HWY_EXPORT(AdamDirection);
HWY_EXPORT(Combine);
HWY_EXPORT(CombineBfloat16);
HWY_EXPORT(SumOfSquares);

void adam_direction(std::span<const float> gradient, float gradient_scale,
                    const AdamSettings& settings, std::span<float> moment1,
                    std::span<float> moment2, std::span<float> direction) {
  HWY_DYNAMIC_DISPATCH(AdamDirection)
  (gradient.data(), gradient_scale, settings, moment1.data(), moment2.data(), direction.data(),
   gradient.size());
}
void descend(std::span<const float> direction, float rate, float decay, std::span<float> values) {
  weighted_sum(-rate, direction, 1.0f - rate * decay, values, values);
}
void blend(std::span<const float> from, float weight, std::span<float> to) {
  weighted_sum(1.0f - weight, from, weight, to, to);
}
void weighted_sum(float a, std::span<const float> x, float b, std::span<const float> y,
                  std::span<float> out) {
  HWY_DYNAMIC_DISPATCH(Combine)(a, x.data(), b, y.data(), out.data(), x.size());
}
void weighted_sum(float a, std::span<const bfloat16> x, float b, std::span<const float> y,
                  std::span<bfloat16> out) {
  HWY_DYNAMIC_DISPATCH(CombineBfloat16)(a, x.data(), b, y.data(), out.data(), x.size());
}
double sum_of_squares(std::span<const float> values) {
  return HWY_DYNAMIC_DISPATCH(SumOfSquares)(values.data(), values.size());
}

}  // namespace combiner
#endif  // HWY_ONCE
