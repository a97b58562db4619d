// How PanelWeights stores weights; used by the kernels only.
#pragma once

#include <type_traits>

#include "base/round_up.h"
#include "kernels/amx.h"
#include "kernels/panels.h"

namespace combiner {

// Panels are stored one after the other, in one of the three types. A panel has kPanelWidth outputs
// for every depth (input): [in, kPanelWidth] in float. The narrower types group depths,
// [groups, kPanelWidth, group], so that a lane of 32 or 16 bits holds one group of one output.
// Missing outputs of the last panel and missing depths of the last group are zero.
struct PanelWeights::Panels {
  int64_t out = 0;
  int64_t in = 0;
  // Whether the layout is the one for AMX: groups fill 32 bits, and panels are padded to whole
  // tiles.
  bool tiles = false;
  std::shared_ptr<const PanelMemory> memory;
  std::span<float> f32;
  std::span<bfloat16> bf16;
  std::span<int8_t> int8;
  std::span<float> scales;  // of int8, one per output, padded like the panels

  template <class Weight>
  std::span<Weight> values() const {
    if constexpr (std::is_same_v<Weight, float>)
      return f32;
    else if constexpr (std::is_same_v<Weight, bfloat16>)
      return bf16;
    else
      return int8;
  }
  // Depths per group.
  template <class Weight>
  int64_t group() const {
    if (std::is_same_v<Weight, float>) return 1;
    return std::is_same_v<Weight, int8_t> && tiles ? 4 : 2;
  }
  // Depths per panel, including padding.
  template <class Weight>
  int64_t depth() const {
    const int64_t whole = group<Weight>() * (tiles ? kTileRows : 1);
    return round_up(in, whole);
  }
  // Whether multiply_tiles multiplies inputs of type X.
  template <class X>
  bool multiply_by_tiles() const {
    return tiles && (!int8.empty() || (!bf16.empty() && std::is_same_v<X, bfloat16>));
  }
};

// multiply_panels with AMX. Requires multiply_by_tiles<X>().
template <class X, class Y>
void multiply_tiles(Matrix<const X> x, const PanelWeights::Panels& weights, Matrix<Y> y,
                    const Epilogue& epilogue, PanelRange range, Scratch& scratch);

}  // namespace combiner
