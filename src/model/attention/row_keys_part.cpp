#include <algorithm>

#include "kernels/rows.h"
#include "model/attention/above.h"
#include "model/attention/abstraction.h"
#include "model/attention/parts.h"
#include "model/attention/tile.h"

namespace combiner {
namespace {

// The state: a key and a value of each row.
template <class T>
struct RowKeys {
  Matrix<T> key, value;  // [R, D]

  RowKeys(const AttentionShape& shape, T* data)
      : key(data, shape.rows, shape.dim), value(key.row(key.rows), shape.rows, shape.dim) {}
};

// Parts that store one key per row, which all positions below attend to.
template <class T>
class RowKeysPart : public AbovePart<T> {
 public:
  int64_t state_size(const AttentionShape& shape) const override {
    return 2 * shape.rows * shape.dim;
  }
  int64_t pairs(const AttentionShape& shape) const override {
    return shape.columns * (shape.rows * (shape.rows - 1) / 2);
  }

 protected:
  Above<const T> above(const Band<T>& band, T* state) const override {
    const RowKeys<T> keys(band.shape, state);
    const auto shared = [&](Matrix<T> m) {
      return Grid<const T>(m.data, m.rows, band.shape.columns, m.columns, m.stride, 0);
    };
    return {shared(keys.key), shared(keys.value)};
  }
};

template <class T>
class RowEndPart final : public RowKeysPart<T> {
 protected:
  void extend(const Band<T>& band, T* state, PartActivations<T>& /*act*/) const override {
    const RowKeys<T> keys(band.shape, state);
    const int64_t rows = band.query.rows;
    const int64_t last = band.shape.columns - 1;
    convert<T, T>(band.key.column(last), keys.key.row_block(band.first_row, rows));
    convert<T, T>(band.value.column(last), keys.value.row_block(band.first_row, rows));
  }
  void extend_backward(const Band<T>& image, const AttendedGradient<T>& gradient,
                       const Above<float>& d_above, T* /*state*/,
                       PartActivations<T>& /*act*/) const override {
    const int64_t last = image.shape.columns - 1;
    add_rows(d_above.key.column(last), gradient.d_key.column(last));
    add_rows(d_above.value.column(last), gradient.d_value.column(last));
  }
};

template <class T>
class WholeRowPart final : public RowKeysPart<T> {
 public:
  PartActivations<T> activations(const AttentionShape& shape, int64_t rows) const override {
    return PartActivations<T>::for_queries(shape, rows);
  }
  int64_t pairs(const AttentionShape& shape) const override {
    return RowKeysPart<T>::pairs(shape) + shape.positions();
  }

 protected:
  void extend(const Band<T>& band, T* state, PartActivations<T>& act) const override {
    const RowKeys<T> keys(band.shape, state);
    const int64_t rows = band.query.rows;
    for (int64_t r = 0; r < rows; ++r) {
      const Matrix<T> query = act.query.view().row_block(r, 1);
      maximum_of<T>(band.query.row(r), query.data);
      maximum_of<T>(band.key.row(r), keys.key.row(band.first_row + r));
      attend_heads<T>(band.shape, query, band.key.row(r), band.value.row(r), Visible::all(),
                      {act.mean.view().row_block(r, 1), keys.value.row_block(band.first_row + r, 1),
                       act.lse.view().row_block(r, 1)},
                      Merge::replace, band.worker);
    }
  }

  void extend_backward(const Band<T>& image, const AttendedGradient<T>& gradient,
                       const Above<float>& d_above, T* state,
                       PartActivations<T>& act) const override {
    const AttentionShape& shape = image.shape;
    const RowKeys<T> keys(shape, state);
    const Matrix<float> delta = gradient.scratch.delta.view(shape.rows);
    const Matrix<float> d_query = gradient.scratch.d_query.view(1);
    head_products<float>(d_above.value.column(0), act.mean.view(), shape.head_dim(), delta);
    for (int64_t r = 0; r < shape.rows; ++r) {
      const Matrix<const T> query = act.query.view().row_block(r, 1);
      std::fill_n(d_query.data, shape.dim, 0.0f);
      attend_heads_backward<T>(shape, query, image.key.row(r), image.value.row(r), Visible::all(),
                               d_above.value.column(0).row_block(r, 1),
                               act.lse.view().row_block(r, 1), delta.row_block(r, 1), d_query,
                               gradient.d_key.row(r), gradient.d_value.row(r), image.worker);
      maximum_of_backward<T>(image.query.row(r), query.data, d_query.data, gradient.d_query.row(r));
      maximum_of_backward<T>(image.key.row(r), keys.key.row(r), d_above.key.at(r, 0),
                             gradient.d_key.row(r));
    }
  }
};

}  // namespace

template <class T>
const Part<T>& row_end_part() {
  static const RowEndPart<T> part;
  return part;
}
template const Part<float>& row_end_part();
template const Part<bfloat16>& row_end_part();

template <class T>
const Part<T>& whole_row_part() {
  static const WholeRowPart<T> part;
  return part;
}
template const Part<float>& whole_row_part();
template const Part<bfloat16>& whole_row_part();

}  // namespace combiner
