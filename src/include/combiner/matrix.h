// A non-owning view of a row-major matrix. Consecutive rows are `stride` elements apart.
#pragma once

#include <cstdint>
#include <type_traits>

namespace combiner {

template <class T>
struct Matrix {
  T* data = nullptr;
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t stride = 0;

  Matrix() = default;
  Matrix(T* data_, int64_t rows_, int64_t columns_, int64_t stride_)
      : data(data_), rows(rows_), columns(columns_), stride(stride_) {}
  Matrix(T* data_, int64_t rows_, int64_t columns_) : Matrix(data_, rows_, columns_, columns_) {}

  T* row(int64_t i) const { return data + i * stride; }
  // The `count` columns starting at `first`.
  Matrix column_block(int64_t first, int64_t count) const {
    return {data + first, rows, count, stride};
  }
  Matrix row_block(int64_t first, int64_t count) const {
    return {row(first), count, columns, stride};
  }
  operator Matrix<const T>() const requires(!std::is_const_v<T>) {
    return {data, rows, columns, stride};
  }
};

}  // namespace combiner
