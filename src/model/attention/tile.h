// Tiles of all heads, from views that hold the heads' columns side by side.
#pragma once

#include "combiner/matrix.h"
#include "kernels/attend.h"
#include "model/attention/grid.h"
#include "model/attention/shape.h"
#include "model/worker.h"

namespace combiner {

// The tile of some queries with some keys and values: rows of views [.., D].
template <class T>
AttentionTile<T> tile_of(const AttentionShape& shape, Matrix<const T> query, Matrix<const T> key,
                         Matrix<const T> value, Visible visible) {
  return {query.data,   query.stride, query.rows,  key.data,         key.stride,    value.data,
          value.stride, key.rows,     shape.heads, shape.head_dim(), shape.scale(), visible};
}

// The attention output of some positions, all heads: out [n, D], the same in T, and its log-sum-exp
// [n, H].
template <class T>
struct AttendedRows {
  Matrix<float> out;
  Matrix<T> rounded;
  Matrix<float> lse;
  bool only_rounded = false;  // `out` will not be read after this

  AttentionOutput<T> output() const {
    return {out.data, out.stride, rounded.data, rounded.stride, lse.data, lse.stride, only_rounded};
  }
  AttendedRows row_block(int64_t first, int64_t count) const {
    return {out.row_block(first, count), rounded.row_block(first, count),
            lse.row_block(first, count), only_rounded};
  }
};
template <class T>
AttendedRows<T> reversed(const AttendedRows<T>& line) {
  return {reversed(line.out), reversed(line.rounded), reversed(line.lse), line.only_rounded};
}

template <class T>
void attend_heads(const AttentionShape& shape, Matrix<const T> query, Matrix<const T> key,
                  Matrix<const T> value, Visible visible, const AttendedRows<T>& to, Merge merge,
                  Worker& worker) {
  worker.cancel.poll();
  attend(tile_of(shape, query, key, value, visible), to.output(), merge, worker.scratch);
}

inline AttentionOutputGradient output_gradient(Matrix<const float> d_out, Matrix<const float> lse,
                                               Matrix<const float> delta) {
  return {d_out.data, d_out.stride, lse.data, lse.stride, delta.data, delta.stride};
}
inline AttentionGradient gradient_views(Matrix<float> d_query, Matrix<float> d_key,
                                        Matrix<float> d_value) {
  return {d_query.data, d_query.stride, d_key.data, d_key.stride, d_value.data, d_value.stride};
}
template <class T>
void attend_heads_backward(const AttentionShape& shape, Matrix<const T> query, Matrix<const T> key,
                           Matrix<const T> value, Visible visible, Matrix<const float> d_out,
                           Matrix<const float> lse, Matrix<const float> delta,
                           Matrix<float> d_query, Matrix<float> d_key, Matrix<float> d_value,
                           Worker& worker) {
  worker.cancel.poll();
  attend_backward(tile_of(shape, query, key, value, visible), output_gradient(d_out, lse, delta),
                  gradient_views(d_query, d_key, d_value), worker.scratch);
}

}  // namespace combiner
