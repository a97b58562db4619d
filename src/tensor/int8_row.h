// Quantises a row of weights to 8-bit integers with one scale: w is about q * scale.
#pragma once

#include <cstdint>
#include <span>

namespace combiner {

// Sets each q to the integer nearest to w / scale, in -127..127, and returns the scale: the largest
// |w| / 127, with its mantissa cut to 17 bits. So every q * scale is exact in float, and quantising
// those products gives the same q and scale again. If the scale would be too small for a normal
// float (all |w| below 1.5e-36), the scale and all q are 0. `row` must be finite and as long as
// `quantized`.
float quantize_row(std::span<const float> row, std::span<int8_t> quantized);

}  // namespace combiner
