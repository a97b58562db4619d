// Rotary positions: queries and keys are rotated by angles proportional to their row and column, so
// that their product depends on how far apart they are.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include "kernels/rotary.h"
#include "model/attention/shape.h"
#include "tensor/owned_matrix.h"

namespace combiner {

// The angles of a grid. Each head has head_dim / 2 pairs of elements. At position (r, c) the first
// half of the pairs is rotated by r w_j and the second half by c w_j, with
// w_j = base^(-4 j / head_dim), j < head_dim / 4.
class Rotary {
 public:
  Rotary(const AttentionShape& shape, double base)
      : quarter_(shape.head_dim() / 4),
        of_row_(angles(shape.rows, base)),
        of_column_(angles(shape.columns, base)) {}

  // Where to compute queries or keys before they are rotated into `to`: in float, so that they are
  // rounded only once. This is `to` itself if T is float, else rows of `floats`, which make_scratch
  // allocates.
  template <class T>
  static Matrix<float> before_rounding(Matrix<T> to, OwnedMatrix<float>& floats) {
    if constexpr (std::is_same_v<T, float>)
      return to;
    else
      return floats.view(to.rows);
  }
  template <class T>
  static OwnedMatrix<float> make_scratch(const AttentionShape& shape, int64_t n, int64_t columns) {
    const bool needed = shape.rotary_base && !std::is_same_v<T, float>;
    return needed ? OwnedMatrix<float>(n, columns) : OwnedMatrix<float>();
  }

  // rotate_heads for consecutive positions from `first` on.
  template <class From, class To>
  void rotate(Matrix<const From> from, int64_t first, Rotation direction, Matrix<To> to) const {
    rotate_heads<From, To>(from, first, {view(of_row_), view(of_column_)}, direction, to);
  }
  // The same, with a position for each row.
  template <class From, class To>
  void rotate(Matrix<const From> from, std::span<const int64_t> positions, Rotation direction,
              Matrix<To> to) const {
    for (int64_t i = 0, n = 0; i < from.rows; i += n) {
      const int64_t* run = positions.data() + i;
      for (n = 1; i + n < from.rows && run[n] == run[0] + n;) ++n;
      rotate<From, To>(from.row_block(i, n), run[0], direction, to.row_block(i, n));
    }
  }

 private:
  std::vector<float> angles(int64_t places, double base) const {
    std::vector<float> table(static_cast<size_t>(places * 2 * quarter_));
    for (int64_t place = 0; place < places; ++place)
      for (int64_t j = 0; j < quarter_; ++j) {
        const double angle =
            static_cast<double>(place) *
            std::pow(base, -static_cast<double>(j) / static_cast<double>(quarter_));
        float* row = table.data() + place * 2 * quarter_;
        row[j] = static_cast<float>(std::cos(angle));
        row[quarter_ + j] = static_cast<float>(std::sin(angle));
      }
    return table;
  }
  Matrix<const float> view(const std::vector<float>& table) const {
    return {table.data(), static_cast<int64_t>(table.size()) / (2 * quarter_), 2 * quarter_};
  }

  int64_t quarter_;
  std::vector<float> of_row_, of_column_;  // [rows, head_dim / 2], [columns, head_dim / 2]
};

}  // namespace combiner
