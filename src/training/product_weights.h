// A model's dense weights as the gradient's products read them.
#pragma once

#include <cstddef>
#include <vector>

#include "matmul/matmul.h"
#include "model/layers.h"
#include "model/model.h"
#include "tensor/thread_team.h"

namespace combiner {

// Of weights that change from step to step and stay where they lie. May be shared by threads.
class ProductWeights {
 public:
  // For products in float, which read the weights themselves, or in bfloat16.
  ProductWeights(const Weights& weights, ElementType type);

  // To be called when the weights have changed.
  void refresh(ThreadTeam& team);

  // For y = x W^T.
  const ModelWeights<PackedWeights>& forward() const { return forward_; }
  // For d_x = d_y W, with the dense weight W that begins at `offset`.
  const PackedWeights& backward(size_t offset) const;

 private:
  struct Layer {
    size_t offset;
    Matrix<const float> values;  // [out, in]
    PackedWeights forward, backward;
  };
  std::vector<Layer> layers_;
  ModelWeights<PackedWeights> forward_;
};

}  // namespace combiner
