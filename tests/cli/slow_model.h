// A model to interrupt.
#pragma once

#include <filesystem>

#include "weights/weights_file.h"

namespace combiner {

// Writes a model that takes seconds per image, or per row if they are long, and returns its path.
inline std::filesystem::path save_slow_model(const std::filesystem::path& folder,
                                             ImageShape image = {32, 32, 3}) {
  ModelConfig config;
  config.image = image;
  config.embed_dim = 256;
  config.num_layers = 4;
  config.num_heads = 4;
  config.mlp_dim = 1024;
  config.attention.assign(4, Attention::axial_rowmajor);
  config.context.previous = true;
  const std::filesystem::path path = folder / "slow.safetensors";
  save_weights(Weights(config), DType::bf16, path);
  return path;
}

}  // namespace combiner
