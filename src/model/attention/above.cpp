#include "model/attention/above.h"

#include <algorithm>

#include "model/attention/tile.h"

namespace combiner {
namespace {

// The queries, whose first row is first_row, attend to the keys strictly above them.
template <class T>
void attend_above(const Band<T>& band, int64_t first_row, Grid<const T> query,
                  const Above<const T>& above, const Attended<T>& attended) {
  for (int64_t c = 0; c < above.key.columns; ++c) {
    const int64_t column = above.first_column + c;
    AttendedRows<T> to = attended.column(column);
    to.only_rounded = attended.last;
    attend_heads(band.shape, query.column(column), above.key.column(c), above.value.column(c),
                 Visible::strict(first_row), to, Merge::merge, band.worker);
  }
}

}  // namespace

template <class T>
void AbovePart<T>::attend_rows(const Band<T>& band, const Attended<T>& attended, T* state,
                               PartActivations<T>& act) const {
  extend(band, state, act);
  attend_keys(band, attended, state);
}

template <class T>
void AbovePart<T>::attend_keys(const Band<T>& band, const Attended<T>& attended, T* state) const {
  Above<const T> keys = above(band, state);
  const int64_t rows = band.first_row + band.query.rows;
  keys.key = keys.key.row_block(0, rows);
  keys.value = keys.value.row_block(0, rows);
  attend_above(band, band.first_row, band.query, keys, attended);
}

template <class T>
void AbovePart<T>::add_spans(const Band<T>& row, int64_t column, T* state,
                             KvSpans<T>& spans) const {
  const Above<const T> keys = above(row, state);
  const int64_t c = column - keys.first_column;
  if (c < 0 || c >= keys.key.columns) return;
  spans.add(keys.key.column(c).row_block(0, row.first_row),
            keys.value.column(c).row_block(0, row.first_row));
}

template <class T>
void AbovePart<T>::finish_position(const Band<T>& row, int64_t column, T* state,
                                   PartActivations<T>& act) const {
  if (column == row.shape.columns - 1) extend(row, state, act);
}

template <class T>
void AbovePart<T>::attend_later(const Band<T>& image, const Attended<T>& attended, T* state,
                                PartActivations<T>& /*act*/) const {
  Above<const T> below = above(image, state);
  below.key = below.key.upside_down();
  below.value = below.value.upside_down();
  attend_above(image, 0, image.query.upside_down(), below, attended.upside_down());
}

template <class T>
void AbovePart<T>::attend_backward(const Band<T>& image, const AttendedGradient<T>& gradient,
                                   T* state, PartActivations<T>& act) const {
  const Above<const T> keys = above(image, state);
  const int64_t dim = image.shape.dim;
  const bool shared = keys.key.column_stride == 0;
  const int64_t columns = shared ? 1 : keys.key.columns;
  const auto grid = [&](Matrix<float> scratch) {
    return Grid<float>(scratch.data, keys.key.rows, keys.key.columns, dim, columns * dim,
                       shared ? 0 : dim);
  };
  const Above<float> d_keys{grid(gradient.scratch.d_key.view()),
                            grid(gradient.scratch.d_value.view()), keys.first_column};
  for (int64_t c = 0; c < keys.key.columns; ++c) {
    const int64_t column = keys.first_column + c;
    if (c < columns)
      for (const Grid<float>& d : {d_keys.key, d_keys.value}) clear(d.column(c));
    attend_heads_backward(image.shape, image.query.column(column), keys.key.column(c),
                          keys.value.column(c), Visible::strict(), gradient.d_out.column(column),
                          gradient.lse.column(column), gradient.delta.column(column),
                          gradient.d_query.column(column), d_keys.key.column(c),
                          d_keys.value.column(c), image.worker);
  }
  extend_backward(image, gradient, d_keys, state, act);
}

template class AbovePart<float>;
template class AbovePart<bfloat16>;

}  // namespace combiner
