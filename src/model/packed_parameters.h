// A model's parameters as its layers read them: dense weights packed for matrix products, vectors
// and tables in place.
#pragma once

#include <cstddef>
#include <vector>

#include "base/thread_team.h"
#include "model/layers/dense.h"
#include "model/layers/norm.h"
#include "model/parameters.h"
#include "model/precision.h"

namespace combiner {

// The use that dense weights are packed for.
enum class PackedFor {
  images,     // many rows at a time: the positions of an image
  positions,  // few rows, one per image (decoding); a row's bits do not depend on the other rows
  training,   // as `images`, plus d_x = d_y W; repacked when the weights change
};

// Threads may share one.
class PackedParameters {
 public:
  // `values` holds the parameters in the given layout and must outlive this object. Packing for
  // training is for f32, whose products read the values in place, or for bf16.
  PackedParameters(const ParameterLayout& layout, const float* values, Precision precision,
                   PackedFor use, ThreadTeam& team);

  // Repacks the weights after they have changed. For training only; no product may be reading them.
  void refresh(ThreadTeam& team);

  DenseWeights dense(const DenseParameters& parameters) const;
  NormWeights norm(const NormParameters& parameters) const;
  const float* vector(size_t offset) const { return values_ + offset; }

 private:
  struct Layer {
    DenseMatrix place;
    PackedWeights weight, transposed;
  };

  Matrix<const float> values_of(const DenseMatrix& place) const;

  const float* values_;
  std::vector<Layer> layers_;  // in order of offset
};

}  // namespace combiner
