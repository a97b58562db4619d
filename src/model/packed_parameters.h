// A model's parameters as its layers read them: dense weights packed for products, vectors and
// tables where they lie.
#pragma once

#include <cstddef>
#include <vector>

#include "base/thread_team.h"
#include "model/layers/dense.h"
#include "model/layers/norm.h"
#include "model/parameters.h"
#include "model/precision.h"

namespace combiner {

// What dense weights are packed for.
enum class PackedFor {
  images,     // many rows at a time, the positions of an image
  positions,  // few rows, one an image (decoding): a row's bits don't depend on the other rows
  training,   // as `images`, and d_x = d_y W too; repacked when the weights have changed
};

// May be shared by threads.
class PackedParameters {
 public:
  // `values`, in the layout, must outlive it. Training is in f32, whose products read the values
  // themselves, or in bf16.
  PackedParameters(const ParameterLayout& layout, const float* values, Precision precision,
                   PackedFor use, ThreadTeam& team);

  // Packs again what has changed; for training only, and not while a product reads the weights.
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
  std::vector<Layer> layers_;  // in the order of their offsets
};

}  // namespace combiner
