// The names, shapes and places of parameters. Values, gradients and optimiser state all lie in flat
// buffers of one layout, to which each layer appends its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

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
  // Whether int8 rounds it: a dense weight [out, ...] whose outputs and inputs tolerate that.
  // Logits are large and nearly cancel: rounding the weights that make them cost the CIFAR-10 model
  // 0.034 bits/dim, rounding pixels 0.0015, weights and inputs of all others 0.005.
  bool quantizable = false;
  size_t offset = 0;
  size_t size = 0;

  // Rows of a dense weight, and the length of one.
  int64_t out() const { return shape.front(); }
  int64_t in() const { return static_cast<int64_t>(size) / out(); }
};

// A matrix [out, in] that products read: one parameter, or several that follow each other.
struct DenseMatrix {
  size_t offset;
  int64_t out, in;
};

struct ParameterLayout {
  // Appends a parameter and returns its offset.
  size_t add(std::string name, std::vector<int64_t> shape,
             ParameterKind kind = ParameterKind::other, bool quantizable = false);

  // The parameter that begins at this offset.
  const Parameter& at(size_t offset) const;

  std::vector<Parameter> list;     // in the order of their offsets
  std::vector<DenseMatrix> dense;  // likewise
  size_t size = 0;                 // floats in all
};

// Where the gradients of a pass go.
struct GradientBuffer {
  float* values;  // of the whole layout
  // Whether a block's matrices are added to what is there, or replace it. All other gradients are
  // added.
  bool accumulate_matrices = true;
};

}  // namespace combiner
