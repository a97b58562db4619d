// Element-wise operations of the optimiser on flat arrays.
#pragma once

#include <cstdint>
#include <span>

#include "tensor/bfloat16.h"

namespace combiner {

struct AdamSettings {
  float beta1, beta2, epsilon;
  // 1 / (1 - beta^step) for each beta, which corrects for averages that started at zero.
  float correction1, correction2;
};

// Updates moment1 and moment2 with gradient * gradient_scale. `direction` receives the Adam step,
// which is to be multiplied by the learning rate and subtracted. It may be `gradient`.
void adam_direction(std::span<const float> gradient, float gradient_scale,
                    const AdamSettings& settings, std::span<float> moment1,
                    std::span<float> moment2, std::span<float> direction);

// values -= rate * (direction + decay * values).
void descend(std::span<const float> direction, float rate, float decay, std::span<float> values);

// to = weight * to + (1 - weight) * from.
void blend(std::span<const float> from, float weight, std::span<float> to);

// out = a * x + b * y. `out` may be x or y.
void weighted_sum(float a, std::span<const float> x, float b, std::span<const float> y,
                  std::span<float> out);
void weighted_sum(float a, std::span<const bfloat16> x, float b, std::span<const float> y,
                  std::span<bfloat16> out);

// The sum of squares, added up in double and in a fixed order.
double sum_of_squares(std::span<const float> values);

}  // namespace combiner
