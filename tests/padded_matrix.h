// Matrices for tests of kernels: at any alignment, with gaps between their rows.
#pragma once

#include <vector>

#include "combiner/matrix.h"
#include "random.h"
#include "tensor/bfloat16.h"

namespace combiner {

template <class T>
T from_double(double value) {
  if constexpr (std::is_same_v<T, bfloat16>)
    return to_bfloat16(static_cast<float>(value));
  else
    return static_cast<T>(value);
}

// The storage ends with the last element of the last row, so a sanitizer detects accesses beyond
// it. The gaps between rows hold a mark that must not change.
template <class T>
class PaddedMatrix {
 public:
  PaddedMatrix(int64_t rows, int64_t columns)
      : values_(rows == 0 ? 0 : static_cast<size_t>((rows - 1) * (columns + kGap) + columns),
                from_double<T>(kMark)),
        rows_(rows),
        columns_(columns) {
    for_each([](T& value) { value = from_double<T>(0.0); });
  }
  PaddedMatrix(int64_t rows, int64_t columns, Random& random, double deviation = 1.0)
      : PaddedMatrix(rows, columns) {
    for_each([&](T& value) { value = from_double<T>(random.normal(deviation)); });
  }

  Matrix<T> view() { return {values_.data(), rows_, columns_, columns_ + kGap}; }
  Matrix<const T> view() const { return {values_.data(), rows_, columns_, columns_ + kGap}; }
  T& at(int64_t i, int64_t j) { return view().row(i)[j]; }
  double operator()(int64_t i, int64_t j) const { return to_float(view().row(i)[j]); }

  // All elements, row by row.
  std::vector<T> elements() const {
    std::vector<T> all;
    for (int64_t i = 0; i < rows_; ++i)
      all.insert(all.end(), view().row(i), view().row(i) + columns_);
    return all;
  }

  // Whether nothing was written between the rows.
  bool gaps_kept() const {
    for (int64_t i = 0; i + 1 < rows_; ++i)
      for (int64_t j = columns_; j < columns_ + kGap; ++j)
        if (to_float(view().row(i)[j]) != to_float(from_double<T>(kMark))) return false;
    return true;
  }

 private:
  static constexpr int64_t kGap = 3;
  static constexpr double kMark = 1e30;

  template <class Visit>
  void for_each(Visit&& visit) {
    for (int64_t i = 0; i < rows_; ++i)
      for (int64_t j = 0; j < columns_; ++j) visit(at(i, j));
  }

  std::vector<T> values_;
  int64_t rows_, columns_;
};

}  // namespace combiner
