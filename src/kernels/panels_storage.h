// How PanelWeights keeps weights; for the kernels alone.
#pragma once

#include <type_traits>

#include "base/round_up.h"
#include "kernels/amx.h"
#include "kernels/panels.h"

namespace combiner {

// One panel after the other, in one of the three types, the last panel padded with zeros. A panel
// is kPanelWidth outputs of every depth (input): [in, kPanelWidth] in float, and in the narrower
// types with depths in groups, one beside the other, [groups, kPanelWidth, group], so that a lane
// of 32 or of 16 bits has a group of one output. The last depths are paired with zeros.
struct PanelWeights::Panels {
  int64_t out = 0;
  int64_t in = 0;
  // Whether tile registers multiply these: groups fill 32 bits and panels whole tiles.
  bool tiles = false;
  std::shared_ptr<const PanelMemory> memory;
  std::span<float> f32;
  std::span<bfloat16> bf16;
  std::span<int8_t> int8;
  std::span<float> scales;  // of int8, one for each output, padded as the panels are

  template <class Weight>
  std::span<Weight> values() const {
    if constexpr (std::is_same_v<Weight, float>)
      return f32;
    else if constexpr (std::is_same_v<Weight, bfloat16>)
      return bf16;
    else
      return int8;
  }
  // Depths of a group.
  template <class Weight>
  int64_t group() const {
    if (std::is_same_v<Weight, float>) return 1;
    return std::is_same_v<Weight, int8_t> && tiles ? 4 : 2;
  }
  // Depths of a panel, with those it is padded with.
  template <class Weight>
  int64_t depth() const {
    const int64_t whole = group<Weight>() * (tiles ? kTileRows : 1);
    return round_up(in, whole);
  }
  // Whether inputs of type X are multiplied by multiply_tiles.
  template <class X>
  bool multiply_by_tiles() const {
    return tiles && (!int8.empty() || (!bf16.empty() && std::is_same_v<X, bfloat16>));
  }
};

// multiply_panels by tile registers, where multiply_by_tiles<X>().
template <class X, class Y>
void multiply_tiles(Matrix<const X> x, const PanelWeights::Panels& weights, Matrix<Y> y,
                    const Epilogue& epilogue, PanelRange range, Scratch& scratch);

}  // namespace combiner
