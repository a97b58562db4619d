#include "kernels/rows.h"
#include "model/attention/above.h"
#include "model/attention/abstraction.h"
#include "model/attention/parts.h"
#include "model/attention/tile.h"

namespace combiner {
namespace {

enum class Side { left, right };

// The state is the key and value of each position's set, stored at that position. The set is all
// that is to the position's left, or all that is to its right, in its row.
template <class T>
class HorizontalPart final : public AbovePart<T> {
 public:
  explicit HorizontalPart(Side side) : side_(side) {}

  int64_t state_size(const AttentionShape& shape) const override {
    return 2 * shape.positions() * shape.dim;
  }
  PartActivations<T> activations(const AttentionShape& shape, int64_t rows) const override {
    return PartActivations<T>::for_queries(shape, rows * shape.columns);
  }
  int64_t pairs(const AttentionShape& shape) const override {
    const int64_t made = shape.rows * (shape.columns * (shape.columns - 1) / 2);
    return made + (shape.columns - 1) * (shape.rows * (shape.rows - 1) / 2);
  }

 protected:
  // The first position of a row has no left set, and the last one has no right set.
  Above<const T> above(const Band<T>& band, T* state) const override {
    const KeyValueGrids<T> sets(band.shape, state);
    const int64_t first = side_ == Side::left ? 1 : 0;
    return {sets.key.column_block(first, band.shape.columns - 1),
            sets.value.column_block(first, band.shape.columns - 1), first};
  }

  void extend(const Band<T>& band, T* state, PartActivations<T>& act) const override {
    const AttentionShape& shape = band.shape;
    const KeyValueGrids<T> sets(shape, state);
    for (int64_t r = 0; r < band.query.rows; ++r) {
      const Matrix<const T> key = members(band.key.row(r));
      const Matrix<T> set_query = set_line(grid(shape, act.query.view()).row(r));
      const Matrix<float> mean = set_line(grid(shape, act.mean.view()).row(r));
      cumulative_maximum<T>(members(band.query.row(r)), nullptr, set_query);
      cumulative_maximum<T>(key, nullptr, set_line(sets.key.row(band.first_row + r)));
      attend_heads<T>(shape, set_query, key, members(band.value.row(r)), Visible::causal(),
                      {mean, set_line(sets.value.row(band.first_row + r)),
                       set_line(grid(shape, act.lse.view()).row(r))},
                      Merge::replace, band.worker);
    }
  }

  void extend_backward(const Band<T>& image, const AttendedGradient<T>& gradient,
                       const Above<float>& d_above, T* state,
                       PartActivations<T>& act) const override {
    const AttentionShape& shape = image.shape;
    const KeyValueGrids<T> sets(shape, state);
    const int64_t n = shape.columns - 1;
    const Matrix<float> d_set_query = gradient.scratch.d_query.view(n);
    const Matrix<float> delta = gradient.scratch.delta.view(n);
    float* carry = gradient.scratch.carry.data();
    for (int64_t r = 0; r < image.query.rows; ++r) {
      const Matrix<const T> key = members(image.key.row(r));
      const Matrix<float> d_key = members(gradient.d_key.row(r));
      const Matrix<const T> set_query = set_line(grid(shape, act.query.view()).row(r));
      const Matrix<const float> mean = set_line(grid(shape, act.mean.view()).row(r));
      // These have no entry for the position without a set.
      const Matrix<const float> d_set_key = turned(d_above.key.row(r));
      const Matrix<const float> d_set_value = turned(d_above.value.row(r));

      std::fill_n(d_set_query.data, n * shape.dim, 0.0f);
      head_products<float>(d_set_value, mean, shape.head_dim(), delta);
      attend_heads_backward<T>(shape, set_query, key, members(image.value.row(r)),
                               Visible::causal(), d_set_value,
                               set_line(grid(shape, act.lse.view()).row(r)), delta, d_set_query,
                               d_key, members(gradient.d_value.row(r)), image.worker);
      cumulative_maximum_backward<T>(members(image.query.row(r)), set_query, d_set_query, carry,
                                     members(gradient.d_query.row(r)));
      cumulative_maximum_backward<T>(key, set_line(sets.key.row(r)), d_set_key, carry, d_key);
    }
  }

 private:
  template <class U>
  static Grid<U> grid(const AttentionShape& shape, Matrix<U> positions) {
    return {positions, shape.columns};
  }
  // A row in the order in which its sets grow. Right sets are left sets of the mirrored row.
  template <class U>
  Matrix<U> turned(Matrix<U> row) const {
    return side_ == Side::left || row.rows == 0 ? row : reversed(row);
  }
  // The positions of a row that have a set, and those that are members of sets. Set i, stored at
  // the position that has it, consists of members 0 .. i.
  template <class U>
  Matrix<U> set_line(Matrix<U> row) const {
    return turned(row).row_block(1, row.rows - 1);
  }
  template <class U>
  Matrix<U> members(Matrix<U> row) const {
    return turned(row).row_block(0, row.rows - 1);
  }

  Side side_;
};

}  // namespace

template <class T>
const Part<T>& left_part() {
  static const HorizontalPart<T> part(Side::left);
  return part;
}
template const Part<float>& left_part();
template const Part<bfloat16>& left_part();

template <class T>
const Part<T>& right_part() {
  static const HorizontalPart<T> part(Side::right);
  return part;
}
template const Part<float>& right_part();
template const Part<bfloat16>& right_part();

}  // namespace combiner
