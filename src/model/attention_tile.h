// Tiles of a layer's packed queries, keys and values, for the variants.
#pragma once

#include <cmath>

#include "kernels/attend.h"
#include "model/config.h"
#include "tensor/matrix.h"

namespace combiner {

inline float attention_scale(const ModelConfig& config) {
  return 1.0f / std::sqrt(static_cast<float>(config.head_dim()));
}

// Some positions' queries against some positions' keys and values, for one head: rows of the views,
// which hold all heads' columns side by side.
template <class T>
AttentionTile<T> head_tile(const ModelConfig& config, int head, Matrix<const T> query,
                           Matrix<const T> key, Matrix<const T> value, Visible visible) {
  const int64_t at = int64_t{head} * config.head_dim();
  return {query.data + at,
          query.stride,
          query.rows,
          key.data + at,
          key.stride,
          value.data + at,
          value.stride,
          key.rows,
          int64_t{config.head_dim()},
          attention_scale(config),
          visible};
}

// A head's columns of an output [n, D] and its log-sum-exp [n, H].
inline AttentionOutput head_output(const ModelConfig& config, int head, Matrix<float> out,
                                   Matrix<float> lse) {
  return {out.data + int64_t{head} * config.head_dim(), out.stride, lse.data + head, lse.stride};
}
inline AttentionOutputGradient head_output_gradient(const ModelConfig& config, int head,
                                                    Matrix<const float> d_out,
                                                    Matrix<const float> lse,
                                                    Matrix<const float> delta) {
  return {d_out.data + int64_t{head} * config.head_dim(),
          d_out.stride,
          lse.data + head,
          lse.stride,
          delta.data + head,
          delta.stride};
}
inline AttentionGradient head_gradient(const ModelConfig& config, int head, Matrix<float> query,
                                       Matrix<float> key, Matrix<float> value) {
  const int64_t at = int64_t{head} * config.head_dim();
  return {query.data + at, query.stride, key.data + at, key.stride, value.data + at, value.stride};
}

// The three thirds of [n, 3D].
template <class T>
struct QueryKeyValue {
  Matrix<T> query, key, value;

  QueryKeyValue(Matrix<T> packed)  // NOLINT: the same matrix, in thirds
      : query(packed.column_block(0, packed.columns / 3)),
        key(packed.column_block(packed.columns / 3, packed.columns / 3)),
        value(packed.column_block(packed.columns / 3 * 2, packed.columns / 3)) {}

  QueryKeyValue rows(int64_t first, int64_t count) const {
    QueryKeyValue part = *this;
    part.query = query.row_block(first, count);
    part.key = key.row_block(first, count);
    part.value = value.row_block(first, count);
    return part;
  }
};

// Column `column` of a grid of rows laid out one after another: `rows` of every `columns`-th row.
template <class T>
Matrix<T> grid_column(Matrix<T> grid, int64_t columns, int64_t column, int64_t rows) {
  return {grid.data + column * grid.stride, rows, grid.columns, columns * grid.stride};
}

}  // namespace combiner
