// The names, shapes and offsets of parameters. Values, gradients and optimiser state are flat
// buffers of one common layout, to which each layer appends its parameters.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace combiner {

// What a parameter is to the optimiser.
enum class ParameterKind {
  matrix,       // a dense weight of a block
  value_table,  // rows indexed by a value 0..255 (in some tables also a 257th row for "outside")
  other,
};

struct Parameter {
  std::string name;  // as in weights files
  std::vector<int64_t> shape;
  ParameterKind kind = ParameterKind::other;
  // Whether int8 rounds this parameter: a dense weight [out, ...] whose inputs and outputs tolerate
  // it. Logits are large and nearly cancel: on an early CIFAR-10 model, rounding the weights that
  // make them cost 0.034 bits/dim, and rounding all that is quantizable 0.005.
  bool quantizable = false;
  size_t offset = 0;
  size_t size = 0;

  // The number of rows of a dense weight, and the length of one row.
  int64_t out() const { return shape.front(); }
  int64_t in() const { return static_cast<int64_t>(size) / out(); }
};

// "[2, 3]", for messages.
std::string shape_text(const std::vector<int64_t>& shape);

// A matrix [out, in] that a product reads: one parameter, or several consecutive ones.
struct DenseMatrix {
  size_t offset;
  int64_t out, in;
};

struct ParameterLayout {
  // Appends a parameter and returns its offset.
  size_t add(std::string name, std::vector<int64_t> shape,
             ParameterKind kind = ParameterKind::other, bool quantizable = false);

  // The parameter that begins at `offset`.
  const Parameter& at(size_t offset) const;

  std::vector<Parameter> list;     // in order of offset
  std::vector<DenseMatrix> dense;  // in order of offset
  size_t size = 0;                 // total number of floats
};

// Where a backward pass writes its gradients.
struct GradientBuffer {
  float* values;  // in the parameters' layout
  // Whether the gradients of the blocks' matrices are added to what is there or replace it. All
  // other gradients are added.
  bool accumulate_matrices = true;
};

}  // namespace combiner
