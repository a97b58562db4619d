// How PanelWeights stores weights, and the kernels that multiply them; used by the kernels only.
#pragma once

#include <type_traits>

#include "base/round_up.h"
#include "kernels/panels.h"

namespace combiner {

// Multiplies panels of one type of weights, stored in the layout that this kernel reads.
struct PanelKernel {
  // Depths that lie side by side: a panel is [groups, kPanelWidth, group].
  int64_t group;
  // A panel's depth is padded to a multiple of this.
  int64_t whole_depth;
  // Whether the kernel reads inputs as unsigned bytes, 128 more than the integers they stand for,
  // so that 128 times the sum of the weights must be subtracted.
  bool has_offsets;

  template <class X, class Y>
  using Function = void (*)(const Matrix<const X>& x, const PanelWeights::Panels& weights,
                            const Matrix<Y>& y, const Epilogue& epilogue, PanelRange range,
                            Scratch& scratch);
  Function<float, float> float_to_float;
  Function<bfloat16, float> bfloat16_to_float;
  Function<bfloat16, bfloat16> bfloat16_to_bfloat16;

  template <class X, class Y>
  Function<X, Y> function() const {
    if constexpr (std::is_same_v<X, float>)
      return float_to_float;
    else if constexpr (std::is_same_v<Y, float>)
      return bfloat16_to_float;
    else
      return bfloat16_to_bfloat16;
  }
};

// Depths that are multiplied before the next: a panel of this depth takes at most half of the L1
// cache and stays there while all rows pass over it. Sums of integers over so many products are
// exact in float.
inline constexpr int64_t kPanelDepthAtOnce = 256;

// Panels are stored one after the other, in one of the three types. A panel has kPanelWidth outputs
// for every depth (input): [in, kPanelWidth] in float. The narrower types group depths,
// [groups, kPanelWidth, group], so that a lane of 32 or 16 bits holds one group of one output.
// Missing outputs of the last panel and missing depths of the last group are zero.
struct PanelWeights::Panels {
  const PanelKernel* kernel = nullptr;
  int64_t out = 0;
  int64_t in = 0;
  std::shared_ptr<const PanelMemory> memory;
  std::span<float> f32;
  std::span<bfloat16> bf16;
  std::span<int8_t> int8;
  std::span<float> scales;  // of int8, one per output, padded like the panels
  // If the kernel has_offsets: -128 times the sum of the weights over each kPanelDepthAtOnce
  // depths, [blocks of depths, padded outputs].
  std::span<int32_t> offsets;

  template <class Weight>
  std::span<Weight> values() const {
    if constexpr (std::is_same_v<Weight, float>)
      return f32;
    else if constexpr (std::is_same_v<Weight, bfloat16>)
      return bf16;
    else
      return int8;
  }
  // Depths per panel, including padding.
  int64_t depth() const { return round_up(in, kernel->whole_depth); }
  int64_t padded_out() const { return round_up(out, kPanelWidth); }
};

}  // namespace combiner
