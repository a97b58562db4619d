// A row of weights as 8-bit integers with one scale: w = q * scale, nearly.
#pragma once

#include <cstdint>
#include <span>

namespace combiner {

// Sets each q to the whole number nearest to w / scale, in -127..127, and returns the scale: the
// largest |w| / 127, cut to 17 bits of mantissa. So every q * scale is exact in float, and
// quantising those products gives the same q and scale again. Rows of zeros, and of numbers too
// small for a normal scale (all |w| below 1.5e-36), have scale 0 and zeros. `row` is finite and as
// long as `quantized`.
float quantize_row(std::span<const float> row, std::span<int8_t> quantized);

}  // namespace combiner
