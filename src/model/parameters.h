// The names, shapes and places of a model's parameters. Values, gradients and optimiser state all
// lie in flat buffers of this one layout.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/config.h"

namespace combiner {

// What a parameter is to the optimiser.
enum class ParameterKind {
  matrix,       // a block's dense weights
  value_table,  // rows indexed by a value 0..255 (and, in some, a 257th for "outside")
  other,
};

struct Parameter {
  std::string name;  // as in weights files
  std::vector<int64_t> shape;
  ParameterKind kind = ParameterKind::other;
  size_t offset = 0;
  size_t size = 0;
  // Whether int8 rounds it: a dense weight [out, ...] of which neither outputs nor inputs mind.
  // Logits are large and nearly cancel: rounding weights that make those cost the CIFAR-10 model
  // 0.034 bits/dim, rounding pixels 0.0015, weights and inputs of all others 0.005.
  bool quantizable = false;

  // Rows of a dense weight, and the length of one.
  int64_t out() const { return shape.front(); }
  int64_t in() const { return static_cast<int64_t>(size) / out(); }
};

struct NormParameters {
  size_t weight = 0, bias = 0;  // offsets of [D]
};
struct DenseParameters {
  size_t weight = 0, bias = 0;  // offsets of [out, in] and [out]
};

struct EmbedParameters {
  size_t token = 0;              // subpixel: [max(vocab, start token + 1), D]
  std::vector<size_t> previous;  // per channel [vocab + 1, D]; none without that context
  std::vector<size_t> above;     // likewise
  size_t stem = 0;               // [D, channels + 1, rows, columns]
  size_t position = 0;           // learned: [L, D]
  size_t row = 0, column = 0;    // axial: [rows, D], [columns, D]
};

struct BlockParameters {
  NormParameters norm1, norm2;
  // query, key and value follow each other, so together they are one matrix [3D, D].
  size_t query = 0, key = 0, value = 0, output = 0;  // [D, D]
  // Row-major only.
  size_t summary_output = 0, summary_key = 0;  // [D, D]
  NormParameters summary_norm;
  DenseParameters up, down;
};

struct HeadParameters {
  DenseParameters subpixel;             // [vocab, D]
  std::vector<DenseParameters> hidden;  // pixel, per channel [D, D]
  std::vector<DenseParameters> output;  // pixel, per channel [vocab, D]
  std::vector<size_t> embed;            // pixel, per channel but the last [vocab, D]
};

// Where everything is; `list` is in the order of the offsets.
struct Parameters {
  explicit Parameters(const ModelConfig& config);

  // The one that begins at this offset.
  const Parameter& at(size_t offset) const;

  std::vector<Parameter> list;
  size_t size = 0;  // floats in all

  EmbedParameters embed;
  std::vector<BlockParameters> blocks;
  NormParameters norm;
  HeadParameters head;
};

}  // namespace combiner
