// How much arithmetic a model is.
#pragma once

#include <cstdint>

#include "model/config.h"

namespace combiner {

// Operations (a multiply-add is two) of the matrix products in the likelihood of one image: dense
// layers, and attention's products over the pairs of query and key that its masks let through. A
// training step needs three times as many an image.
int64_t product_operations(const ModelConfig& config);

}  // namespace combiner
