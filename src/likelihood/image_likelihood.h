// One image's likelihood from that of its sub-pixels.
#pragma once

#include <cstdint>
#include <numbers>
#include <span>
#include <string>

#include "combiner/likelihood.h"

namespace combiner {

// Converts nats, of one sub-pixel, to bits.
inline float to_bits(float nats) { return nats / std::numbers::ln2_v<float>; }

// Converts nats, summed over `dims` sub-pixels, to bits per sub-pixel.
inline double to_bits_per_dim(double nats, int dims) { return nats / (std::numbers::ln2 * dims); }

// Sums the nats of an image's sub-pixels [height, width, 3]. `where` names it in messages. Throws
// NotFinite if the sum is not finite.
ImageLikelihood image_likelihood(int64_t index, std::span<const float> nats,
                                 const std::string& where);

}  // namespace combiner
