// Dense layers of few rows, what decoding, one position at a time, is made of; and those with int8
// weights, of any number.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "combiner/matrix.h"
#include "kernels/activation.h"
#include "kernels/scratch.h"
#include "tensor/bfloat16.h"
#include "tensor/buffer.h"

namespace combiner {

// Consecutive panels [first, last) of a layer's outputs.
struct PanelRange {
  int64_t first, last;
};

// Memory for the panels of many layers: one by one they are too small for large pages, and too many
// for small ones to be read at full speed. Layers may be packed into it by several threads.
class PanelMemory {
 public:
  explicit PanelMemory(size_t bytes) : bytes_(bytes) {}
  // The next `count` values, aligned to cache lines. Throws std::logic_error beyond the end.
  template <class T>
  std::span<T> take(size_t count);

 private:
  Buffer<std::byte> bytes_;
  std::atomic<size_t> taken_ = 0;
};

// The weights of a dense layer as they lie: [out, in], or the transpose.
struct StoredWeights {
  Matrix<const float> matrix;
  bool transposed = false;

  StoredWeights(Matrix<const float> matrix_, bool transposed_ = false)  // NOLINT: usually not
      : matrix(matrix_), transposed(transposed_) {}
  StoredWeights(Matrix<float> matrix_) : matrix(matrix_) {}  // NOLINT: likewise
  int64_t out() const { return transposed ? matrix.columns : matrix.rows; }
  int64_t in() const { return transposed ? matrix.rows : matrix.columns; }
};

// The weights [out, in] of a dense layer in panels of kPanelWidth consecutive outputs, the last
// one maybe narrower, so that a product reads them once, in order. Cheap to copy, the copies being
// of one storage; may be shared by threads.
//
// An element of a product is one chain of multiply-adds over `in`, in order, or with int8 weights
// one of exact sums over parts of `in`: its bits depend neither on the number of rows nor on how
// panels are shared out, so neither do a sampled picture's on the batch or the threads. oneDNN
// gives no such promise.
class PanelWeights {
 public:
  static constexpr int64_t kPanelWidth = 16;

  PanelWeights() = default;
  // Copies [out, in], at least one of each, rounding to Weight: float, bfloat16, or, of what is not
  // stored transposed, int8_t with one scale an output, as quantize_row does. With int8_t the
  // inputs are rounded too: a row to whole multiples of its largest magnitude / 127. The panels lie
  // in `memory`, which has packed_bytes() of room for them, or in their own.
  template <class Weight>
  static PanelWeights pack(StoredWeights weights, std::shared_ptr<PanelMemory> memory = nullptr);
  template <class Weight>
  static size_t packed_bytes(int64_t out, int64_t in);

  // Copies other weights of the same sizes in place of those that it packed, bfloat16. Not to be
  // called while a product reads them.
  void repack(StoredWeights weights);

  int64_t out() const;
  int64_t in() const;
  int64_t panel_count() const { return (out() + kPanelWidth - 1) / kPanelWidth; }

  struct Panels;
  const Panels& panels() const { return *panels_; }

 private:
  std::shared_ptr<const Panels> panels_;
};

// What becomes of a product: y = activation(product + y, if accumulated, + bias [out], if any).
struct Epilogue {
  bool accumulate = false;
  const float* bias = nullptr;
  std::optional<Activation> activation = {};
};

// y = x weights^T, and on with the epilogue.
// X and Y are float or bfloat16, both or X alone bfloat16. Of `y` and the bias, which are those of
// the whole layer, only the outputs of `range` are touched: threads may share a product, each with
// scratch memory of its own.
template <class X, class Y>
void multiply_panels(Matrix<const X> x, const PanelWeights& weights, Matrix<Y> y,
                     const Epilogue& epilogue, PanelRange range, Scratch& scratch);

// All of the layer.
template <class X, class Y>
void multiply_panels(Matrix<const X> x, const PanelWeights& weights, Matrix<Y> y,
                     const Epilogue& epilogue, Scratch& scratch) {
  multiply_panels<X, Y>(x, weights, y, epilogue, PanelRange{0, weights.panel_count()}, scratch);
}

}  // namespace combiner
