// Random numbers without a state: each one has an index, so it does not matter in which order they
// are drawn.
#pragma once

#include <cstdint>

namespace combiner {

// The number in [0, 1) at `index` of `stream` for a seed: 53 bits of Philox2x64-10, with the seed
// as key and (index, stream) as counter.
double counter_uniform(uint64_t seed, uint64_t stream, uint64_t index);

}  // namespace combiner
