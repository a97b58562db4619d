// The frequencies that a value is coded with, from its logits.
#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "codec/range_coder.h"

namespace combiner {

// How often each value occurs in kFrequencyTotal: at least once, in proportion to exp(logit) but
// for rounding. Made with integers and IEEE 754 operations alone, so that every machine finds the
// same. Specified in docs/codec.md.
class Frequencies {
 public:
  static constexpr size_t kMostValues = 256;

  // Takes 1 to kMostValues logits. Throws Error if one is not finite.
  explicit Frequencies(std::span<const float> logits);

  FrequencyRange of(uint8_t value) const;

  struct Found {
    uint8_t value;
    FrequencyRange range;
  };
  // The value that has `target`, which must be below the total.
  Found find(uint32_t target) const;

 private:
  std::array<uint32_t, kMostValues> counts_ = {};
};

}  // namespace combiner
