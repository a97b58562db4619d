// A matrix that owns its storage.
#pragma once

#include "combiner/matrix.h"
#include "tensor/buffer.h"

namespace combiner {

template <class T>
class OwnedMatrix {
 public:
  OwnedMatrix() = default;
  OwnedMatrix(int64_t rows, int64_t columns)
      : buffer_(static_cast<size_t>(rows * columns)), rows_(rows), columns_(columns) {}

  Matrix<T> view() { return {buffer_.data(), rows_, columns_}; }
  Matrix<const T> view() const { return {buffer_.data(), rows_, columns_}; }
  // The first `rows` rows.
  Matrix<T> view(int64_t rows) { return {buffer_.data(), rows, columns_}; }

 private:
  Buffer<T> buffer_;
  int64_t rows_ = 0;
  int64_t columns_ = 0;
};

}  // namespace combiner
