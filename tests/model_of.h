// Makes models and packed weights, leaving the weights for the test to use on.
#pragma once

#include "base/thread_team.h"
#include "combiner/model.h"

namespace combiner {

inline Model model_of(const Weights& weights, Precision precision = Precision::f32) {
  return Model(weights.clone(), precision, 2);
}

// `weights` must outlive the result.
inline ModelWeights packed_of(const Weights& weights, Precision precision = Precision::f32,
                              PackedFor use = PackedFor::images) {
  ThreadTeam team(2);
  return pack_weights(weights, precision, use, team);
}

}  // namespace combiner
