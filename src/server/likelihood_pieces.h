// Measuring how probable pictures are.
#pragma once

#include <memory>
#include <vector>

#include "combiner/image.h"
#include "combiner/model.h"
#include "server/engine.h"
#include "server/job.h"

namespace combiner {

// For each picture, which must have the model's size, what measures it: image k of the job becomes
// the map of picture k (SurpriseMap) with its bits/dim. `model` must outlive them.
std::vector<Piece> likelihood_pieces(const Model& model, const std::shared_ptr<Job>& job,
                                     std::vector<Image> pictures);

}  // namespace combiner
