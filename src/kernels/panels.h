// Dense layers of few rows: what decoding, one position at a time, is made of.
#pragma once

#include <cstdint>
#include <memory>

#include "tensor/bfloat16.h"
#include "tensor/matrix.h"

namespace combiner {

// The weights [out, in] of a dense layer in panels of consecutive outputs, so that a product reads
// them once, in order. Immutable and cheap to copy; may be shared by threads.
//
// An element of a product is one chain of multiply-adds over `in`, in order: its bits do not depend
// on the number of rows, so neither do a sampled picture's on the batch. oneDNN gives no such
// promise.
class PanelWeights {
 public:
  PanelWeights() = default;
  // Copies, rounding to Weight (float or bfloat16).
  template <class Weight>
  static PanelWeights pack(Matrix<const float> weights);

  int64_t out() const;
  int64_t in() const;

  struct Panels;
  const Panels& panels() const { return *panels_; }

 private:
  std::shared_ptr<const Panels> panels_;
};

// y = x weights^T, or y += with `accumulate`; then bias [out], if any, is added to every row.
// X and Y are float or bfloat16.
template <class X, class Y>
void multiply_panels(Matrix<const X> x, const PanelWeights& weights, Matrix<Y> y, bool accumulate,
                     const float* bias);

}  // namespace combiner
