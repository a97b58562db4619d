// The shape of a model's attention layers.
#pragma once

#include "combiner/attention.h"
#include "combiner/config.h"

namespace combiner {

inline AttentionShape attention_shape(const ModelConfig& config,
                                      KeptSummaries summaries = KeptSummaries::as_made) {
  return {config.rows(),
          config.columns(),
          config.embed_dim,
          config.num_heads,
          static_cast<float>(config.norm_epsilon),
          summaries,
          config.rotary ? std::optional(config.rotary->base) : std::nullopt};
}

}  // namespace combiner
