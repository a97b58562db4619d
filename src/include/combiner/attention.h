// Combiner attention as a stand-alone layer, for models of anything laid out on a grid. It replaces
// full attention and knows nothing of images. Source: Ren et al., "Combiner: Full Attention
// Transformer with Sparse Computation Cost", NeurIPS 2021 (arXiv 2107.05768), "the paper" below.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>

#include "combiner/config.h"
#include "combiner/matrix.h"

namespace combiner {

// How axial_rowmajor stores its summaries (a key and a value per position) from row to row:
//   as_made    as computed;
//   in_8_bits  each key and each value as int8 with one scale. When many images are sampled at
//              once, memory and time depend mostly on the size of the summaries;
//   rounded    rounded as in_8_bits does, but stored like other values. Passes over whole images
//              use this, because their attention kernels have no 8-bit keys.
enum class KeptSummaries { as_made, in_8_bits, rounded };

// A grid of `rows` x `columns` positions in raster order, with D = `dim` features in H = `heads`
// heads.
struct AttentionShape {
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t dim = 0;
  int64_t heads = 0;
  float norm_epsilon = 1e-6f;  // for axial_rowmajor's summaries
  // The next two are set by models only; a stand-alone layer leaves them at their defaults.
  KeptSummaries summaries = KeptSummaries::as_made;
  std::optional<double> rotary_base = std::nullopt;

  int64_t positions() const { return rows * columns; }
  int64_t head_dim() const { return dim / heads; }
  // The factor applied to the product of a query and a key.
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(head_dim())); }
};

enum class Direction {
  causal,         // a position attends to itself and to those before it in raster order
  bidirectional,  // what a position attends to may also be after it
};

// The weights of axial_rowmajor's summaries.
struct SummaryTensors {
  Matrix<const float> output, key;     // [D, D], stored [out, in] as in PyTorch
  const float* norm_weight = nullptr;  // [D]
  const float* norm_bias = nullptr;
};

// Destinations for the gradients of SummaryTensors, which are added to what is there.
struct SummaryTensorGradients {
  Matrix<float> output, key;
  float* norm_weight = nullptr;
  float* norm_bias = nullptr;
};

// The inputs of the layer. All matrices are [L, D] with L = rows x columns: one row per position in
// raster order, the heads side by side in the columns. Logits are query . key / sqrt(head_dim).
struct AttentionTensors {
  Matrix<const float> query, key, value;
  // axial_rowmajor only: the layer input from which query, key and value were projected.
  Matrix<const float> input = {};
};
// Destinations for the gradients of AttentionTensors, [L, D] and overwritten, and of
// SummaryTensors.
struct AttentionTensorGradients {
  Matrix<float> query, key, value;
  Matrix<float> input = {};
  SummaryTensorGradients summary = {};
};

// The attention layer. It holds O(L D) memory. Not thread-safe: use one layer per thread. What a
// call writes must not overlap what it reads: neither `out` a tensor, nor a gradient a tensor or
// d_out.
class AttentionLayer {
 public:
  // Throws Error if the shape is invalid or too large for any memory, if the variant does not
  // support the direction, if axial_rowmajor lacks its summary weights, or if another variant is
  // given some. The layer reads the weights in place: they must outlive it, and may change between
  // a backward pass and the next forward pass.
  AttentionLayer(Attention attention, const AttentionShape& shape, Direction direction,
                 const SummaryTensors& summary = {});
  ~AttentionLayer();
  AttentionLayer(AttentionLayer&&) noexcept;
  AttentionLayer& operator=(AttentionLayer&&) noexcept;

  // out [L, D] = each position's softmax-weighted mean of the values that it attends to. Throws
  // Error if a matrix has the wrong shape.
  void forward(const AttentionTensors& tensors, Matrix<float> out);

  // The backward pass of the last forward() call, which must have had the same tensors. From d_out
  // [L, D], the gradient of its output, overwrites the gradients of query, key, value and input,
  // and adds to those of the summary weights. Throws Error if the layer is bidirectional or a
  // matrix has the wrong shape, and std::logic_error if there was no forward() call.
  void backward(const AttentionTensors& tensors, Matrix<const float> d_out,
                const AttentionTensorGradients& gradients);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace combiner
