// Draws images on all ranks of a cluster.
#pragma once

#include "cluster/cluster.h"
#include "combiner/sampler.h"

namespace combiner {

// Collective. As sample(), each rank drawing its share of the images, which do not depend on how
// many ranks there are. Rank 0's events are those of all images; of the others', only `cancel`
// is used, which stops all.
bool sample_on_ranks(Cluster& cluster, const Model& model, const SampleOptions& options,
                     const SampleEvents& events);

}  // namespace combiner
