// Small models with random weights, and images for them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <iterator>
#include <vector>

#include "model/model.h"
#include "random.h"

namespace combiner {

// Scales the weights so that neither logits nor attention are flat. The stem's masked taps are
// zero.
inline Weights random_weights(const ModelConfig& config, Random& random) {
  validate(config, "test");
  Weights weights(config);
  for (const Parameter& parameter : weights.parameters.list) {
    float* values = weights.values.data() + parameter.offset;
    const bool is_vector = parameter.shape.size() == 1;
    const bool is_bias = parameter.name.ends_with("bias");
    const bool is_stem = parameter.name == "embed.stem.weight";
    const bool is_table = !is_stem && parameter.name.find("embed.") != std::string::npos;
    const double inputs =
        static_cast<double>(parameter.size) / static_cast<double>(parameter.shape.front());
    for (size_t i = 0; i < parameter.size; ++i) {
      const double draw = random.normal();
      double value = 1.5 / std::sqrt(inputs) * draw;
      if (is_table) value = 0.5 * draw;
      if (is_vector) value = is_bias ? 0.1 * draw : 1.0 + 0.2 * draw;
      if (is_stem) {
        const auto columns = static_cast<size_t>(config.stem->columns);
        const auto taps = columns * static_cast<size_t>(config.stem->rows);
        const bool last_row = i % taps >= taps - columns;
        if (last_row && i % columns >= columns / 2) value = 0.0;
      }
      values[i] = static_cast<float>(value);
    }
  }
  return weights;
}

inline std::vector<uint8_t> random_pixels(const ModelConfig& config, Random& random) {
  return random.bytes(static_cast<size_t>(config.dims()), static_cast<size_t>(config.vocab_size));
}

inline std::vector<double> to_doubles(const Weights& weights) {
  return {weights.values.begin(), weights.values.end()};
}

// The variants that support rotary positions.
inline constexpr Attention kRotaryAttentions[] = {Attention::axial_rowmajor, Attention::full,
                                                  Attention::axial, Attention::fixed_sparse,
                                                  Attention::logsparse_sparse};
inline bool supports_rotary(Attention attention) {
  return std::ranges::find(kRotaryAttentions, attention) != std::end(kRotaryAttentions);
}

// A model of one or two small layers. Tests change the fields that they are about.
inline ModelConfig small_config(Tokens tokens, Attention attention, int height, int width) {
  ModelConfig config;
  config.image = {height, width, 3};
  config.tokens = tokens;
  config.embed_dim = 12;
  config.num_layers = 2;
  config.num_heads = 2;
  config.mlp_dim = 20;
  config.attention = {attention, attention};
  config.position = Position::axial;
  config.context = {true, true};
  config.stem = StemShape{3, 5};
  if (tokens == Tokens::subpixel) config.start_token = 256;
  return config;
}

}  // namespace combiner
