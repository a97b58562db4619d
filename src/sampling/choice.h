// Choosing a value by its logits.
#pragma once

#include <cstdint>
#include <span>

#include "combiner/sampler.h"

namespace combiner {

// Throws Error unless temperature is finite and >= 0, 1 <= top_k <= 256 and 0 < top_p <= 1.
void validate(const ChoiceOptions& options);

// Returns the value that `uniform`, in [0, 1), draws from 1 to 256 logits: the first value, in
// ascending order, whose cumulative probability exceeds it. Among equally likely values the lower
// ranks first. Throws Error if a logit is not finite.
uint8_t choose_value(std::span<const float> logits, const ChoiceOptions& options, double uniform);

// The value of a sub-pixel of image `stream` of a seed: what its own random number chooses.
uint8_t draw_value(std::span<const float> logits, const ChoiceOptions& options, uint64_t seed,
                   uint64_t stream, int64_t subpixel);

}  // namespace combiner
