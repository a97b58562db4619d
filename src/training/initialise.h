// Weights to start training from.
#pragma once

#include <cstdint>

#include "model/model.h"

namespace combiner {

// Normal numbers keyed by the seed and the parameter's place: dense weights with the deviation
// 1 / sqrt(inputs), the layers that add to the residual stream smaller by sqrt(2 layers), tables
// and positions small, norms 1, biases and the stem's masked taps 0.
void initialise(Weights& weights, uint64_t seed);

}  // namespace combiner
