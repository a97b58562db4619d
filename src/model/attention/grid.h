// Views of positions as a two-dimensional grid.
#pragma once

#include <cstdint>
#include <type_traits>

#include "combiner/matrix.h"

namespace combiner {

// A vector of `width` elements for each place of a grid. A stride of zero repeats a row or column;
// a negative stride reverses the grid.
template <class T>
struct Grid {
  T* data = nullptr;
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t width = 0;
  int64_t row_stride = 0;
  int64_t column_stride = 0;

  Grid() = default;
  Grid(T* data_, int64_t rows_, int64_t columns_, int64_t width_, int64_t row_stride_,
       int64_t column_stride_)
      : data(data_),
        rows(rows_),
        columns(columns_),
        width(width_),
        row_stride(row_stride_),
        column_stride(column_stride_) {}
  // From positions in raster order, one per row of the matrix.
  Grid(Matrix<T> positions, int64_t columns_)
      : Grid(positions.data, positions.rows / columns_, columns_, positions.columns,
             columns_ * positions.stride, positions.stride) {}
  // From positions stored column by column.
  static Grid by_column(T* data_, int64_t rows_, int64_t columns_, int64_t width_) {
    return {data_, rows_, columns_, width_, width_, rows_ * width_};
  }
  operator Grid<const T>() const requires(!std::is_const_v<T>) {
    return {data, rows, columns, width, row_stride, column_stride};
  }

  // All positions as one matrix; the grid must be in raster order.
  Matrix<T> positions() const { return {data, rows * columns, width, column_stride}; }

  T* at(int64_t r, int64_t c) const { return data + r * row_stride + c * column_stride; }
  Matrix<T> row(int64_t r) const { return {at(r, 0), columns, width, column_stride}; }
  Matrix<T> column(int64_t c) const { return {at(0, c), rows, width, row_stride}; }

  Grid row_block(int64_t first, int64_t count) const {
    return {at(first, 0), count, columns, width, row_stride, column_stride};
  }
  Grid column_block(int64_t first, int64_t count) const {
    return {at(0, first), rows, count, width, row_stride, column_stride};
  }
  // The rows in reverse order.
  Grid upside_down() const {
    return {at(rows - 1, 0), rows, columns, width, -row_stride, column_stride};
  }
};

// A line, which is a row or column of positions, in reverse order.
template <class T>
Matrix<T> reversed(Matrix<T> line) {
  return {line.row(line.rows - 1), line.rows, line.columns, -line.stride};
}

}  // namespace combiner
