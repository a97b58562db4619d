// Random numbers without a state: each has its place, so it does not matter who asks first.
#pragma once

#include <cstdint>

namespace combiner {

// The number of [0, 1) at `index` of `stream` under a seed: 53 bits of Philox2x64-10 with the seed
// as key and the place as counter.
double counter_uniform(uint64_t seed, uint64_t stream, uint64_t index);

}  // namespace combiner
