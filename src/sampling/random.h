// Random numbers without a state: each has its place, so it does not matter who asks first.
#pragma once

#include <cstdint>

namespace combiner {

// The number of [0, 1) that decides sub-pixel `subpixel` of image `image` under a seed: 53 bits of
// Philox2x64-10 with the seed as key and the place as counter.
double sample_uniform(uint64_t seed, uint64_t image, uint64_t subpixel);

}  // namespace combiner
