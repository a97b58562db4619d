// How PanelWeights keeps weights; for the kernels alone.
#pragma once

#include "kernels/panels.h"
#include "tensor/buffer.h"

namespace combiner {

// One panel after the other, in one of the three types, the last panel padded with zeros. A panel
// is kPanelWidth outputs of every depth (input): [in, kPanelWidth] in float, and with depths in
// pairs, one beside the other, [pairs, kPanelWidth, 2] in the narrower types, so that a lane of 32
// bits has a pair of one output. An odd last depth is paired with zeros.
struct PanelWeights::Panels {
  int64_t out = 0;
  int64_t in = 0;
  Buffer<float> f32;
  Buffer<bfloat16> bf16;
  Buffer<int8_t> int8;
  Buffer<float> scales;  // of int8, one for each output, padded as the panels are

  // Depths of a panel, with those it is padded with.
  template <class Weight>
  int64_t depth() const {
    return std::is_same_v<Weight, float> ? in : (in + 1) / 2 * 2;
  }
};

}  // namespace combiner
