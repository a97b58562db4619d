// Initial weights for training.
#pragma once

#include <cstdint>

#include "model/model.h"

namespace combiner {

// Weights of normal random numbers keyed by the seed and the parameter's place. The standard
// deviation is 1 / sqrt(inputs) for dense weights, smaller by sqrt(2 layers) for those
// that add to the residual stream, and 0.02 for value tables and positions. Norm weights are 1;
// biases and the stem's masked taps are 0.
Weights initial_weights(const ModelConfig& config, uint64_t seed);

}  // namespace combiner
