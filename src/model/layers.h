// A model's weights, bound to the layers that use them.
#pragma once

#include <vector>

#include "model/attention/part.h"
#include "model/config.h"
#include "model/dense.h"
#include "model/parameters.h"

namespace combiner {

template <class Dense>
struct EmbedWeights {
  const float* token = nullptr;
  std::vector<const float*> previous, above;  // per channel
  Dense stem;                                 // [D, (channels + 1) rows columns]
  const float* position = nullptr;
  const float* row = nullptr;
  const float* column = nullptr;
};

template <class Dense>
struct BlockWeights {
  NormWeights norm1, norm2;
  Dense query_key_value, output;
  SummaryWeights<Dense> summary;  // axial_rowmajor only
  DenseWeights<Dense> up, down;
};

template <class Dense>
struct HeadWeights {
  DenseWeights<Dense> subpixel;
  std::vector<DenseWeights<Dense>> hidden, output;  // pixel, per channel
  std::vector<const float*> embed;                  // pixel, per channel but the last
};

template <class Dense>
struct ModelWeights {
  EmbedWeights<Dense> embed;
  std::vector<BlockWeights<Dense>> blocks;
  NormWeights norm;
  HeadWeights<Dense> head;
  // How models of these weights keep summaries while they sample.
  KeptSummaries summaries = KeptSummaries::as_made;
};

// Binds vectors and tables where they lie in `values` (which must outlive the result), and dense
// weights as `make(offset, out, in)` gives them.
template <class Dense, class Make>
ModelWeights<Dense> bind_weights(const ModelConfig& config, const Parameters& parameters,
                                 const float* values, Make&& make) {
  ModelWeights<Dense> bound;
  const int64_t dim = config.embed_dim;
  const auto norm = [&](const NormParameters& p) {
    return NormWeights{values + p.weight, values + p.bias};
  };
  const auto layer = [&](const DenseParameters& p, int64_t out, int64_t in) {
    return DenseWeights<Dense>{make(p.weight, out, in), values + p.bias};
  };

  const EmbedParameters& embed = parameters.embed;
  if (config.tokens == Tokens::subpixel) bound.embed.token = values + embed.token;
  for (const size_t p : embed.previous) bound.embed.previous.push_back(values + p);
  for (const size_t p : embed.above) bound.embed.above.push_back(values + p);
  if (config.stem)
    bound.embed.stem =
        make(embed.stem, dim,
             int64_t{config.image.channels + 1} * config.stem->rows * config.stem->columns);
  bound.embed.position = values + embed.position;
  bound.embed.row = values + embed.row;
  bound.embed.column = values + embed.column;

  for (size_t i = 0; i < parameters.blocks.size(); ++i) {
    const BlockParameters& p = parameters.blocks[i];
    BlockWeights<Dense> block;
    block.norm1 = norm(p.norm1);
    block.query_key_value = make(p.query, 3 * dim, dim);
    block.output = make(p.output, dim, dim);
    if (config.attention[i] == Attention::axial_rowmajor)
      block.summary = {make(p.summary_output, dim, dim), make(p.summary_key, dim, dim),
                       norm(p.summary_norm)};
    block.norm2 = norm(p.norm2);
    block.up = layer(p.up, config.mlp_dim, dim);
    block.down = layer(p.down, dim, config.mlp_dim);
    bound.blocks.push_back(std::move(block));
  }

  bound.norm = norm(parameters.norm);
  const HeadParameters& head = parameters.head;
  if (config.tokens == Tokens::subpixel)
    bound.head.subpixel = layer(head.subpixel, config.vocab_size, dim);
  for (const DenseParameters& p : head.hidden) bound.head.hidden.push_back(layer(p, dim, dim));
  for (const DenseParameters& p : head.output)
    bound.head.output.push_back(layer(p, config.vocab_size, dim));
  for (const size_t p : head.embed) bound.head.embed.push_back(values + p);
  return bound;
}

}  // namespace combiner
