// Combiner attention as a layer on its own, for models of anything that stands in a grid: a
// replacement of full attention that knows nothing of images.
#pragma once

#include "model/attention/attention.h"

namespace combiner {

enum class Direction {
  causal,         // a position attends itself and those before it in raster order
  bidirectional,  // all positions
};

// axial_rowmajor's own weights.
struct SummaryTensors {
  Matrix<const float> output, key;     // [D, D], [out, in] as in PyTorch
  const float* norm_weight = nullptr;  // [D]
  const float* norm_bias = nullptr;
};

// Where the gradients of these are added.
struct SummaryTensorGradients {
  Matrix<float> output, key;
  float* norm_weight = nullptr;
  float* norm_bias = nullptr;
};

// In these, all matrices are [L, D], a row a position in raster order, the heads side by side in
// its columns. Logits are query . key / sqrt(head_dim).
struct AttentionTensors {
  Matrix<const float> query, key, value;
  Matrix<const float> input = {};  // axial_rowmajor only: what the three were made from
};
struct AttentionTensorGradients {
  Matrix<float> query, key, value;
  Matrix<float> input = {};
  SummaryTensorGradients summary = {};
};

// Memory is O(L D). One for each thread.
class AttentionLayer {
 public:
  // Throws Error if the shape is impossible, the variant has no such direction, or axial_rowmajor
  // comes without its weights (which must outlive the layer) or another variant with them.
  AttentionLayer(Attention attention, const AttentionShape& shape, Direction direction,
                 const SummaryTensors& summary = {});

  // out [L, D]: what each position attends.
  void forward(const AttentionTensors& tensors, Matrix<float> out);

  // The gradients, given that of forward()'s last output; those of the summary's tensors are added.
  // Causal only; the tensors must be those of that call.
  void backward(const AttentionTensors& tensors, Matrix<const float> d_out,
                const AttentionTensorGradients& gradients);

 private:
  void check(const AttentionTensors& tensors) const;

  Attention attention_;
  AttentionShape shape_;
  Direction direction_;
  SummaryWeights summary_;
  Buffer<float> state_;
  PartsActivations<float> activations_;
  OwnedMatrix<float> attended_, lse_;
  // For backward only.
  OwnedMatrix<float> delta_;
  AttentionBackwardScratch<float> scratch_;
  Worker worker_;
};

}  // namespace combiner
