// Choosing a value by its logits.
#pragma once

#include <cstdint>
#include <span>

namespace combiner {

// How the model's distribution is changed before a value is drawn from it; by default not at all.
// First the temperature, then top_k, then top_p of what is left.
struct ChoiceOptions {
  double temperature = 1;  // divides the logits; 0 takes the likeliest value
  int top_k = 256;         // only that many of the likeliest values
  double top_p = 1;        // only the fewest likeliest values that together have this probability
};

// Throws Error unless temperature >= 0 is finite, 1 <= top_k <= 256 and 0 < top_p <= 1.
void validate(const ChoiceOptions& options);

// The value that `uniform`, of [0, 1), draws from 1 to 256 logits: in the order of the values, the
// first whose cumulative probability exceeds it. Of equally likely values the lower ranks first.
// Throws Error if a logit is not finite.
uint8_t choose_value(std::span<const float> logits, const ChoiceOptions& options, double uniform);

}  // namespace combiner
