// Whether a data set is one that a model can work on.
#pragma once

#include "combiner/config.h"
#include "combiner/dataset.h"

namespace combiner {

// Throws Error if the images are of another size than the model's, or there are none.
void check_fit(const ModelConfig& config, const Dataset& images);

}  // namespace combiner
