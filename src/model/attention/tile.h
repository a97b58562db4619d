// One head's tiles of views that hold all heads' columns side by side.
#pragma once

#include <cmath>

#include "kernels/attend.h"
#include "model/attention/shape.h"
#include "tensor/matrix.h"

namespace combiner {

// Some positions' queries against some positions' keys and values: rows of the views [.., D].
template <class T>
AttentionTile<T> head_tile(const AttentionShape& shape, int64_t head, Matrix<const T> query,
                           Matrix<const T> key, Matrix<const T> value, Visible visible) {
  const int64_t at = head * shape.head_dim();
  return {query.data + at,  query.stride,    query.rows,   key.data + at,
          key.stride,       value.data + at, value.stride, key.rows,
          shape.head_dim(), shape.scale(),   visible};
}

// A head's columns of an output [n, D] and its log-sum-exp [n, H].
inline AttentionOutput head_output(const AttentionShape& shape, int64_t head, Matrix<float> out,
                                   Matrix<float> lse) {
  return {out.data + head * shape.head_dim(), out.stride, lse.data + head, lse.stride};
}
inline AttentionOutputGradient head_output_gradient(const AttentionShape& shape, int64_t head,
                                                    Matrix<const float> d_out,
                                                    Matrix<const float> lse,
                                                    Matrix<const float> delta) {
  return {d_out.data + head * shape.head_dim(),
          d_out.stride,
          lse.data + head,
          lse.stride,
          delta.data + head,
          delta.stride};
}
inline AttentionGradient head_gradient(const AttentionShape& shape, int64_t head,
                                       Matrix<float> query, Matrix<float> key,
                                       Matrix<float> value) {
  const int64_t at = head * shape.head_dim();
  return {query.data + at, query.stride, key.data + at, key.stride, value.data + at, value.stride};
}

// The same of all heads.
template <class T>
void attend_heads(const AttentionShape& shape, Matrix<const T> query, Matrix<const T> key,
                  Matrix<const T> value, Visible visible, Matrix<float> out, Matrix<float> lse,
                  Merge merge, Scratch& scratch) {
  for (int64_t h = 0; h < shape.heads; ++h)
    attend(head_tile(shape, h, query, key, value, visible), head_output(shape, h, out, lse), merge,
           scratch);
}
template <class T>
void attend_heads_backward(const AttentionShape& shape, Matrix<const T> query, Matrix<const T> key,
                           Matrix<const T> value, Visible visible, Matrix<const float> d_out,
                           Matrix<const float> lse, Matrix<const float> delta,
                           Matrix<float> d_query, Matrix<float> d_key, Matrix<float> d_value,
                           Scratch& scratch) {
  for (int64_t h = 0; h < shape.heads; ++h)
    attend_backward(head_tile(shape, h, query, key, value, visible),
                    head_output_gradient(shape, h, d_out, lse, delta),
                    head_gradient(shape, h, d_query, d_key, d_value), scratch);
}

}  // namespace combiner
