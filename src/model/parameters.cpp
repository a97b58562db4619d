#include "model/parameters.h"

#include <fmt/format.h>

#include <algorithm>

namespace combiner {
namespace {

// Appends parameters and hands out their places.
class Builder {
 public:
  explicit Builder(Parameters& parameters) : parameters_(parameters) {}

  size_t add(std::string name, std::vector<int64_t> shape,
             ParameterKind kind = ParameterKind::other) {
    size_t size = 1;
    for (const int64_t n : shape) size *= static_cast<size_t>(n);
    const size_t offset = parameters_.size;
    parameters_.list.push_back({std::move(name), std::move(shape), kind, offset, size});
    parameters_.size += size;
    return offset;
  }

  size_t add_quantizable(std::string name, std::vector<int64_t> shape, ParameterKind kind) {
    const size_t offset = add(std::move(name), std::move(shape), kind);
    parameters_.list.back().quantizable = true;
    return offset;
  }

  NormParameters norm(const std::string& scope, int64_t dim) {
    return {add(scope + ".weight", {dim}), add(scope + ".bias", {dim})};
  }

  DenseParameters dense(const std::string& scope, int64_t out, int64_t in, ParameterKind kind) {
    return {add_quantizable(scope + ".weight", {out, in}, kind), add(scope + ".bias", {out})};
  }

  // The layer that makes the logits of a sub-pixel's values.
  DenseParameters logits(const std::string& scope, int64_t vocab, int64_t in) {
    return {add(scope + ".weight", {vocab, in}, ParameterKind::value_table),
            add(scope + ".bias", {vocab}, ParameterKind::value_table)};
  }

 private:
  Parameters& parameters_;
};

EmbedParameters add_embed(Builder& builder, const ModelConfig& config) {
  EmbedParameters embed;
  const int64_t dim = config.embed_dim;
  const int64_t vocab = config.vocab_size;
  if (config.tokens == Tokens::subpixel)
    embed.token = builder.add("embed.token.weight",
                              {std::max<int64_t>(vocab, config.start_token.value_or(0) + 1), dim},
                              ParameterKind::value_table);
  for (int c = 0; config.context.previous && c < config.image.channels; ++c)
    embed.previous.push_back(builder.add(fmt::format("embed.previous.{}.weight", c),
                                         {vocab + 1, dim}, ParameterKind::value_table));
  for (int c = 0; config.context.above && c < config.image.channels; ++c)
    embed.above.push_back(builder.add(fmt::format("embed.above.{}.weight", c), {vocab + 1, dim},
                                      ParameterKind::value_table));
  if (config.stem)
    embed.stem =
        builder.add("embed.stem.weight",
                    {dim, config.image.channels + 1, config.stem->rows, config.stem->columns},
                    ParameterKind::other);
  if (config.position == Position::learned)
    embed.position = builder.add("embed.position.weight", {config.positions(), dim});
  if (config.position == Position::axial) {
    embed.row = builder.add("embed.position.row.weight", {config.rows(), dim});
    embed.column = builder.add("embed.position.column.weight", {config.columns(), dim});
  }
  return embed;
}

BlockParameters add_block(Builder& builder, const ModelConfig& config, int index) {
  BlockParameters block;
  const int64_t dim = config.embed_dim;
  const std::string scope = fmt::format("blocks.{}", index);
  const auto square = [&](const char* name) {
    return builder.add_quantizable(fmt::format("{}.attention.{}.weight", scope, name), {dim, dim},
                                   ParameterKind::matrix);
  };
  block.norm1 = builder.norm(scope + ".norm1", dim);
  block.query = square("query");
  block.key = square("key");
  block.value = square("value");
  block.output = square("output");
  if (config.attention[static_cast<size_t>(index)] == Attention::axial_rowmajor) {
    block.summary_output = square("summary_output");
    block.summary_norm = builder.norm(scope + ".attention.summary_norm", dim);
    block.summary_key = square("summary_key");
  }
  block.norm2 = builder.norm(scope + ".norm2", dim);
  block.up = builder.dense(scope + ".mlp.up", config.mlp_dim, dim, ParameterKind::matrix);
  block.down = builder.dense(scope + ".mlp.down", dim, config.mlp_dim, ParameterKind::matrix);
  return block;
}

HeadParameters add_head(Builder& builder, const ModelConfig& config) {
  HeadParameters head;
  const int64_t dim = config.embed_dim;
  const int64_t vocab = config.vocab_size;
  if (config.tokens == Tokens::subpixel) {
    head.subpixel = builder.logits("head", vocab, dim);
    return head;
  }
  for (int c = 0; c < config.image.channels; ++c) {
    head.hidden.push_back(
        builder.dense(fmt::format("head.{}.hidden", c), dim, dim, ParameterKind::other));
    head.output.push_back(builder.logits(fmt::format("head.{}.output", c), vocab, dim));
  }
  for (int c = 0; c + 1 < config.image.channels; ++c)
    head.embed.push_back(builder.add(fmt::format("head.embed.{}.weight", c), {vocab, dim},
                                     ParameterKind::value_table));
  return head;
}

}  // namespace

Parameters::Parameters(const ModelConfig& config) {
  Builder builder(*this);
  embed = add_embed(builder, config);
  for (int i = 0; i < config.num_layers; ++i) blocks.push_back(add_block(builder, config, i));
  norm = builder.norm("norm", config.embed_dim);
  head = add_head(builder, config);
}

const Parameter& Parameters::at(size_t offset) const {
  return *std::ranges::lower_bound(list, offset, {}, &Parameter::offset);
}

}  // namespace combiner
