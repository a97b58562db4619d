#include "training/initialise.h"

#include <cmath>
#include <numbers>

#include "base/counter_random.h"
#include "model/layers/embedding.h"

namespace combiner {
namespace {

constexpr double kTableDeviation = 0.02;
// Separates the random stream of the initial weights from those of the data order.
constexpr uint64_t kStream = ~uint64_t{0};

double normal(uint64_t seed, uint64_t place) {
  const double radius = std::sqrt(-2.0 * std::log1p(-counter_uniform(seed, kStream, 2 * place)));
  const double angle = 2.0 * std::numbers::pi * counter_uniform(seed, kStream, 2 * place + 1);
  return radius * std::cos(angle);
}

double deviation(const ModelConfig& config, const Parameter& parameter) {
  const double residual = 1.0 / std::sqrt(2.0 * config.num_layers);
  if (parameter.kind == ParameterKind::value_table || parameter.name.starts_with("embed.position"))
    return kTableDeviation;
  const double inputs =
      static_cast<double>(parameter.size) / static_cast<double>(parameter.shape[0]);
  const bool adds_to_residual = parameter.name.ends_with(".attention.output.weight") ||
                                parameter.name.ends_with(".mlp.down.weight");
  return (adds_to_residual ? residual : 1.0) / std::sqrt(inputs);
}

void mask_stem(const ModelConfig& config, float* stem) {
  const auto size =
      static_cast<size_t>(stem_inputs(config)) * static_cast<size_t>(config.embed_dim);
  for (size_t i = 0; i < size; ++i)
    if (is_unseen(*config.stem, i)) stem[i] = 0.0f;
}

}  // namespace

Weights initial_weights(const ModelConfig& config, uint64_t seed) {
  Weights weights(config);
  for (const Parameter& parameter : weights.parameters.list) {
    float* values = weights.values.data() + parameter.offset;
    if (parameter.shape.size() == 1) {
      const bool is_norm_weight = parameter.name.ends_with("weight");
      std::fill_n(values, parameter.size, is_norm_weight ? 1.0f : 0.0f);
      continue;
    }
    const double sigma = deviation(weights.config, parameter);
    for (size_t i = 0; i < parameter.size; ++i)
      values[i] = static_cast<float>(sigma * normal(seed, parameter.offset + i));
  }
  if (weights.config.stem)
    mask_stem(weights.config, weights.values.data() + weights.parameters.embedding.stem.weight);
  return weights;
}

}  // namespace combiner
