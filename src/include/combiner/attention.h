// Combiner attention as a layer on its own, for models of anything that stands in a grid: a
// replacement of full attention that knows nothing of images.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <optional>

#include "combiner/config.h"
#include "combiner/matrix.h"

namespace combiner {

// How axial_rowmajor's summaries are kept from row to row: as they were made; in 8 bits, each key
// and each value as whole numbers and a scale, what memory and time of sampling many images depend
// on most; or rounded to those, but stored as others are, for passes over whole images, whose
// attention has no 8-bit keys.
enum class KeptSummaries { as_made, in_8_bits, rounded };

// rows x columns positions in raster order, D = dim features in H = heads heads.
struct AttentionShape {
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t dim = 0;
  int64_t heads = 0;
  float norm_epsilon = 1e-6f;  // of axial_rowmajor's summaries
  // A model's own; a layer on its own leaves them as they are.
  KeptSummaries summaries = KeptSummaries::as_made;
  std::optional<double> rotary_base = std::nullopt;

  int64_t positions() const { return rows * columns; }
  int64_t head_dim() const { return dim / heads; }
  // What products of queries and keys are multiplied with.
  float scale() const { return 1.0f / std::sqrt(static_cast<float>(head_dim())); }
};

enum class Direction {
  causal,         // a position attends to itself and those before it in raster order
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
  ~AttentionLayer();
  AttentionLayer(AttentionLayer&&) noexcept;
  AttentionLayer& operator=(AttentionLayer&&) noexcept;

  // out [L, D]: what each position attends to, weighted.
  void forward(const AttentionTensors& tensors, Matrix<float> out);

  // The gradients, given that of forward()'s last output; those of the summary's tensors are added.
  // Causal only; the tensors must be those of that call.
  void backward(const AttentionTensors& tensors, Matrix<const float> d_out,
                const AttentionTensorGradients& gradients);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace combiner
