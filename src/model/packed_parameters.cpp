#include "model/packed_parameters.h"

#include <algorithm>
#include <memory>

namespace combiner {
namespace {

// Calls visit.operator()<Weight>(), where Weight is the storage type of weights in `precision`.
template <class Visit>
auto visit_weight_type(Precision precision, Visit&& visit) {
  switch (precision) {
    case Precision::int8:
      return visit.template operator()<int8_t>();
    case Precision::bf16:
      return visit.template operator()<bfloat16>();
    default:
      return visit.template operator()<float>();
  }
}

// Whether weights of this precision are multiplied by our own kernels, which read panels.
bool in_panels(PackedFor use, Precision precision) {
  return use == PackedFor::positions || precision != Precision::f32;
}

}  // namespace

PackedParameters::PackedParameters(const ParameterLayout& layout, const float* values,
                                   Precision precision, PackedFor use, ThreadTeam& team)
    : values_(values) {
  const auto precision_of = [&](const DenseMatrix& place) {
    return weight_precision(layout, place.offset, precision);
  };
  // All panels share one allocation: individually they are too small for large pages.
  size_t bytes = 0;
  for (const DenseMatrix& place : layout.dense) {
    layers_.push_back({place, {}, {}});
    if (!in_panels(use, precision_of(place))) continue;
    bytes += visit_weight_type(precision_of(place), [&]<class Weight>() {
      return PanelWeights::packed_bytes<Weight>(place.out, place.in) +
             (use == PackedFor::training ? PanelWeights::packed_bytes<Weight>(place.in, place.out)
                                         : 0);
    });
  }
  const auto memory = bytes > 0 ? std::make_shared<PanelMemory>(bytes) : nullptr;
  const ElementType type = product_type(precision);
  const auto pack_for_training = [&](const Factor& factor) {
    return type == ElementType::f32 ? PackedWeights::view(factor)
                                    : PackedWeights(factor, type, memory);
  };
  team.for_each(static_cast<int64_t>(layers_.size()), [&](int, int64_t index) {
    Layer& layer = layers_[static_cast<size_t>(index)];
    const Matrix<const float> matrix = values_of(layer.place);
    if (use == PackedFor::training) {
      layer.weight = pack_for_training(transposed(matrix));
      layer.transposed = pack_for_training(plain(matrix));
    } else if (in_panels(use, precision_of(layer.place))) {
      layer.weight =
          PackedWeights(visit_weight_type(precision_of(layer.place), [&]<class Weight>() {
            return PanelWeights::pack<Weight>(matrix, memory);
          }));
    } else {
      layer.weight = PackedWeights(matrix, type);
    }
  });
}

void PackedParameters::refresh(ThreadTeam& team) {
  team.for_each(static_cast<int64_t>(layers_.size()), [&](int, int64_t index) {
    Layer& layer = layers_[static_cast<size_t>(index)];
    layer.weight.repack(transposed(values_of(layer.place)));
    layer.transposed.repack(plain(values_of(layer.place)));
  });
}

DenseWeights PackedParameters::dense(const DenseParameters& parameters) const {
  const auto found = std::ranges::lower_bound(
      layers_, parameters.weight, {}, [](const Layer& layer) { return layer.place.offset; });
  return {found->weight, found->transposed, parameters.bias ? values_ + *parameters.bias : nullptr};
}

NormWeights PackedParameters::norm(const NormParameters& parameters) const {
  return {values_ + parameters.weight, values_ + parameters.bias};
}

Matrix<const float> PackedParameters::values_of(const DenseMatrix& place) const {
  return {values_ + place.offset, place.out, place.in};
}

}  // namespace combiner
