// Matrix products with packed weights: in float for small batches (decoding), in bfloat16 and int8
// for batches of any size.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/round_up.h"
#include "combiner/matrix.h"
#include "kernels/activation.h"
#include "kernels/scratch.h"
#include "tensor/bfloat16.h"
#include "tensor/buffer.h"

namespace combiner {

// A range of panels of a layer's outputs, [first, last).
struct PanelRange {
  int64_t first, last;
};

// Memory for the panels of many layers. The panels of a single layer are too small for large pages,
// and those of all layers are too many to be read at full speed from small pages. Several threads
// may pack layers into it at the same time.
class PanelMemory {
 public:
  explicit PanelMemory(size_t bytes) : bytes_(bytes) {}
  // Returns the next `count` values, aligned to cache lines. Throws std::logic_error if they do not
  // fit.
  template <class T>
  std::span<T> take(size_t count);

 private:
  Buffer<std::byte> bytes_;
  std::atomic<size_t> taken_ = 0;
};

// The weights of a dense layer as they are stored: [out, in], or [in, out] if `transposed`.
struct StoredWeights {
  Matrix<const float> matrix;
  bool transposed = false;

  StoredWeights(Matrix<const float> matrix_, bool transposed_ = false)  // NOLINT: implicit
      : matrix(matrix_), transposed(transposed_) {}
  StoredWeights(Matrix<float> matrix_) : matrix(matrix_) {}  // NOLINT: implicit
  int64_t out() const { return transposed ? matrix.columns : matrix.rows; }
  int64_t in() const { return transposed ? matrix.rows : matrix.columns; }
};

// The weights [out, in] of a dense layer in panels of kPanelWidth consecutive outputs (the last may
// be narrower), so that a product reads them once and in order. Cheap to copy: copies share the
// storage. Threads may share it, too.
//
// Each output is one chain of multiply-adds over `in`, in a fixed order (that of `in` with float
// weights); with int8 weights, a chain of exact sums over blocks of `in`. So its bits depend
// neither on the number of rows nor on how panels are distributed among threads, and a sampled
// picture depends neither on the batch size nor on the number of threads. oneDNN does not guarantee
// that.
class PanelWeights {
 public:
  static constexpr int64_t kPanelWidth = 16;

  PanelWeights() = default;
  // Packs a copy of the weights [out, in], with out and in at least 1, rounded to Weight: float,
  // bfloat16 or int8_t. int8_t weights have one scale per output, as in quantize_row, and must not
  // be stored transposed; their products also round the inputs, each row to multiples of its
  // largest magnitude / 127. The panels are placed in `memory`, which must have packed_bytes()
  // left, or in memory of their own. Throws std::logic_error if int8_t weights are stored
  // transposed or `memory` is too small.
  template <class Weight>
  static PanelWeights pack(StoredWeights weights, std::shared_ptr<PanelMemory> memory = nullptr);
  // Bytes of PanelMemory that a layer takes.
  template <class Weight>
  static size_t packed_bytes(int64_t out, int64_t in);

  // Overwrites the packed weights, which must be bfloat16, with others of the same sizes. Must not
  // be called while a product reads them. Throws std::logic_error for another type or size.
  void repack(StoredWeights weights);

  int64_t out() const;
  int64_t in() const;
  int64_t panel_count() const { return ceil_div(out(), kPanelWidth); }

  struct Panels;
  const Panels& panels() const { return *panels_; }

 private:
  std::shared_ptr<const Panels> panels_;
};

// What follows a product: y = activation(product + y, if accumulate, + bias [out], if not null).
// What the activation reads is rounded to y's type first, except with AMX.
struct Epilogue {
  bool accumulate = false;
  const float* bias = nullptr;
  std::optional<Activation> activation = {};
};

// y [rows, out] = x [rows, in] weights^T, followed by the epilogue. X and Y are both float, both
// bfloat16, or X is bfloat16 and Y is float. y and the bias are those of the whole layer, but only
// the outputs of `range` are read and written. So threads can share a product, each with its own
// scratch memory.
template <class X, class Y>
void multiply_panels(Matrix<const X> x, const PanelWeights& weights, Matrix<Y> y,
                     const Epilogue& epilogue, PanelRange range, Scratch& scratch);

// The same for all panels.
template <class X, class Y>
void multiply_panels(Matrix<const X> x, const PanelWeights& weights, Matrix<Y> y,
                     const Epilogue& epilogue, Scratch& scratch) {
  multiply_panels<X, Y>(x, weights, y, epilogue, PanelRange{0, weights.panel_count()}, scratch);
}

}  // namespace combiner
