#include <algorithm>

#include "kernels/rows.h"
#include "model/attention/abstraction.h"
#include "model/attention/parts.h"
#include "model/attention/tile.h"

namespace combiner {
namespace {

// The state: the maxima of each column so far and, when decoding, the values of the next row's
// sets. The sets of a row are the columns above it.
template <class T>
struct Columns {
  Matrix<T> query, key, value;  // [C, D]

  Columns(const AttentionShape& shape, T* data)
      : query(data, shape.columns, shape.dim),
        key(query.row(query.rows), shape.columns, shape.dim),
        value(key.row(key.rows), shape.columns, shape.dim) {}
};

// The positions of one row attend to the sets of all columns but their own.
template <class T>
void attend_other_columns(const Band<T>& band, Matrix<const T> query, Matrix<const T> key,
                          Matrix<const T> value, const AttendedRows<T>& to) {
  attend_heads(band.shape, query, key, value, Visible::strict(), to, Merge::merge, band.worker);
  attend_heads(band.shape, reversed(query), reversed(key), reversed(value), Visible::strict(),
               reversed(to), Merge::merge, band.worker);
}

template <class T>
class VerticalPart final : public Part<T> {
 public:
  KvLayout kv_layout() const override { return KvLayout::by_column; }
  int64_t state_size(const AttentionShape& shape) const override {
    return 3 * shape.columns * shape.dim;
  }
  // For the sets of each row of the band and of the row after it.
  PartActivations<T> activations(const AttentionShape& shape, int64_t rows) const override {
    return PartActivations<T>::for_abstractions(shape, (rows + 1) * shape.columns);
  }
  int64_t pairs(const AttentionShape& shape) const override {
    const int64_t made = shape.columns * (shape.rows * (shape.rows - 1) / 2);
    return made + (shape.rows - 1) * shape.columns * (shape.columns - 1);
  }

  void attend_rows(const Band<T>& band, const Attended<T>& attended, T* state,
                   PartActivations<T>& act) const override {
    const AttentionShape& shape = band.shape;
    const int64_t rows = band.query.rows;
    const Columns<T> running(shape, state);
    const Grid<T> query = grid(shape, act.query, rows + 1);
    const Grid<T> key = grid(shape, act.key, rows + 1);
    const Attended<T> sets{grid(shape, act.mean, rows + 1), grid(shape, act.value, rows + 1),
                           grid(shape, act.lse, rows + 1)};
    // Row 0 has no sets.
    const int64_t first = band.first_row == 0 ? 1 : 0;

    for (int64_t c = 0; c < shape.columns; ++c) {
      const auto extend = [&](Matrix<const T> line, T* maximum, Matrix<T> maxima) {
        if (first == 0) std::copy_n(maximum, shape.dim, maxima.row(0));
        cumulative_maximum<T>(line, first == 0 ? maximum : nullptr, maxima.row_block(1, rows));
        std::copy_n(maxima.row(rows), shape.dim, maximum);
      };
      extend(band.query.column(c), running.query.row(c), query.column(c));
      extend(band.key.column(c), running.key.row(c), key.column(c));
      attend_heads<T>(shape, query.column(c).row_block(first, rows - first), band.all_key.column(c),
                      band.all_value.column(c), Visible::strict(band.first_row + first),
                      sets.column(c).row_block(first, rows - first), Merge::replace, band.worker);
    }
    for (int64_t r = first; r < rows; ++r)
      attend_other_columns<T>(band, band.query.row(r), key.row(r), sets.rounded.row(r),
                              attended.row(r));
  }

  void add_spans(const Band<T>& row, int64_t column, T* state, KvSpans<T>& spans) const override {
    if (row.first_row == 0) return;
    const Columns<T> sets(row.shape, state);
    const auto add_block = [&](int64_t first, int64_t count) {
      spans.add(sets.key.row_block(first, count), sets.value.row_block(first, count));
    };
    add_block(0, column);
    add_block(column + 1, row.shape.columns - column - 1);
  }

  void finish_position(const Band<T>& row, int64_t column, T* state,
                       PartActivations<T>& act) const override {
    const AttentionShape& shape = row.shape;
    if (column < shape.columns - 1) return;
    const Columns<T> sets(shape, state);
    const int64_t rows = row.first_row + 1;
    for (int64_t c = 0; c < shape.columns; ++c) {
      const auto extend = [&](const T* x, T* maximum) {
        cumulative_maximum<T>({x, 1, shape.dim}, row.first_row == 0 ? nullptr : maximum,
                              {maximum, 1, shape.dim});
      };
      extend(row.query.at(0, c), sets.query.row(c));
      extend(row.key.at(0, c), sets.key.row(c));
      attend_heads<T>(shape, sets.query.row_block(c, 1), row.all_key.column(c).row_block(0, rows),
                      row.all_value.column(c).row_block(0, rows), Visible::all(),
                      {act.mean.view().row_block(c, 1), sets.value.row_block(c, 1),
                       act.lse.view().row_block(c, 1)},
                      Merge::replace, row.worker);
    }
  }

  void attend_later(const Band<T>& image, const Attended<T>& attended, T* state,
                    PartActivations<T>& act) const override {
    attend_rows(image.upside_down(), attended.upside_down(), state, act);
  }

  void attend_backward(const Band<T>& image, const AttendedGradient<T>& gradient, T* /*state*/,
                       PartActivations<T>& act) const override {
    const AttentionShape& shape = image.shape;
    const int64_t rows = shape.rows;
    AttentionBackwardScratch<T>& scratch = gradient.scratch;
    const Grid<const T> query = grid(shape, act.query, rows);
    const Grid<const T> key = grid(shape, act.key, rows);
    const Grid<const T> value = grid(shape, act.value, rows);
    const Grid<float> mean = grid(shape, act.mean, rows);
    const Grid<float> d_query = grid(shape, scratch.d_query, rows);
    const Grid<float> d_key = grid(shape, scratch.d_key, rows);
    const Grid<float> d_value = grid(shape, scratch.d_value, rows);
    const Grid<float> delta = grid(shape, scratch.delta, rows);
    for (const Grid<float>& d : {d_query, d_key, d_value})
      std::fill_n(d.data, shape.positions() * shape.dim, 0.0f);

    for (int64_t r = 1; r < rows; ++r) {
      const auto attend = [&](auto turn) {
        attend_heads_backward(shape, turn(image.query.row(r)), turn(key.row(r)), turn(value.row(r)),
                              Visible::strict(), turn(gradient.d_out.row(r)),
                              turn(gradient.lse.row(r)), turn(gradient.delta.row(r)),
                              turn(gradient.d_query.row(r)), turn(d_key.row(r)),
                              turn(d_value.row(r)), image.worker);
      };
      attend([](auto line) { return line; });
      attend([](auto line) { return reversed(line); });
      head_products<float>(d_value.row(r), mean.row(r), shape.head_dim(), delta.row(r));
    }

    for (int64_t c = 0; c < shape.columns; ++c) {
      // Set i of a column consists of its members 0 .. i.
      const auto sets = [&](auto grid) { return grid.column(c).row_block(1, rows - 1); };
      const auto members = [&](auto grid) { return grid.column(c).row_block(0, rows - 1); };
      attend_heads_backward<T>(shape, sets(query), members(image.key), members(image.value),
                               Visible::causal(), sets(d_value), sets(grid(shape, act.lse, rows)),
                               sets(delta), sets(d_query), members(gradient.d_key),
                               members(gradient.d_value), image.worker);
      cumulative_maximum_backward<T>(members(image.query), sets(query), sets(d_query),
                                     scratch.carry.data(), members(gradient.d_query));
      cumulative_maximum_backward<T>(members(image.key), sets(key), sets(d_key),
                                     scratch.carry.data(), members(gradient.d_key));
    }
  }

 private:
  template <class U>
  static Grid<U> grid(const AttentionShape& shape, OwnedMatrix<U>& positions, int64_t rows) {
    return {positions.view(rows * shape.columns), shape.columns};
  }
};

}  // namespace

template <class T>
const Part<T>& vertical_part() {
  static const VerticalPart<T> part;
  return part;
}
template const Part<float>& vertical_part();
template const Part<bfloat16>& vertical_part();

}  // namespace combiner
