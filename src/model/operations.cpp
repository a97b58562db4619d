#include "model/operations.h"

#include "model/attention/attention.h"
#include "model/embedding.h"

namespace combiner {
namespace {

// Multiply-adds of a position's dense layers in one block.
int64_t block_weights(const ModelConfig& config, Attention attention) {
  const int64_t dim = config.embed_dim;
  const int64_t square_layers = attention == Attention::axial_rowmajor ? 6 : 4;
  return square_layers * dim * dim + 2 * dim * config.mlp_dim;
}

// Multiply-adds of a position's head.
int64_t head_weights(const ModelConfig& config) {
  const int64_t output = int64_t{config.embed_dim} * config.vocab_size;
  if (config.tokens == Tokens::subpixel) return output;
  return config.image.channels * (int64_t{config.embed_dim} * config.embed_dim + output);
}

}  // namespace

int64_t product_operations(const ModelConfig& config) {
  const int64_t dim = config.embed_dim;
  int64_t multiply_adds = config.positions() * (stem_inputs(config) * dim + head_weights(config));
  for (const Attention attention : config.attention)
    multiply_adds += config.positions() * block_weights(config, attention) +
                     2 * dim * attention_pairs(attention, config.attention_shape());
  return 2 * multiply_adds;
}

}  // namespace combiner
