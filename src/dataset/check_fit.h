// Checks that a model can process the images of a data set.
#pragma once

#include "combiner/config.h"
#include "combiner/dataset.h"

namespace combiner {

// Throws Error if the model's images do not have three channels, if the images' size differs from
// the model's, or if there are no images.
void check_fit(const ModelConfig& config, const Dataset& images);

}  // namespace combiner
