#include "training/product_weights.h"

#include <algorithm>
#include <memory>

namespace combiner {

ProductWeights::ProductWeights(const Weights& weights, ElementType type) {
  std::shared_ptr<PanelMemory> memory;
  if (panels_are_faster(type)) {
    size_t bytes = 0;
    visit_dense(weights, [&](size_t, int64_t out, int64_t in) {
      bytes += PanelWeights::packed_bytes<bfloat16>(out, in) +
               PanelWeights::packed_bytes<bfloat16>(in, out);
    });
    memory = std::make_shared<PanelMemory>(bytes);
  }
  const auto make = [&](const Factor& factor) {
    return type == ElementType::f32 ? PackedWeights::view(factor)
                                    : PackedWeights(factor, type, memory);
  };
  forward_ = bind_weights<PackedWeights>(
      weights.config, weights.parameters, weights.values.data(),
      [&](size_t offset, int64_t out, int64_t in) {
        const Matrix<const float> values(weights.values.data() + offset, out, in);
        layers_.push_back({offset, values, make(transposed(values)), make(plain(values))});
        return layers_.back().forward;
      });
}

void ProductWeights::refresh(ThreadTeam& team) {
  team.for_each(static_cast<int64_t>(layers_.size()), [&](int, int64_t index) {
    Layer& layer = layers_[static_cast<size_t>(index)];
    layer.forward.repack(transposed(layer.values));
    layer.backward.repack(plain(layer.values));
  });
}

const PackedWeights& ProductWeights::backward(size_t offset) const {
  return std::ranges::find(layers_, offset, &Layer::offset)->backward;
}

}  // namespace combiner
