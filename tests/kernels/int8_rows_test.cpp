#include "kernels/int8_rows.h"

#include <cmath>

#include "catch.h"
#include "error_bounds.h"
#include "instruction_sets.h"
#include "padded_matrix.h"

namespace combiner {
namespace {

template <class T>
void check() {
  for (const int64_t columns : {1, 7, 16, 45}) {
    Random random(1);
    constexpr int64_t kRows = 4, kStride = 3;
    PaddedMatrix<T> from(kRows, columns, random);
    for (int64_t j = 0; j < columns; ++j) from.at(1, j) = from_double<T>(0);

    std::vector<int8_t> values(static_cast<size_t>(kRows * columns));
    const Matrix<int8_t> whole(values.data(), kRows, columns);
    std::vector<float> scales(kRows * kStride, -1.0f);
    quantize_rows<T>(from.view(), whole, scales.data(), kStride);
    PaddedMatrix<T> rounded(kRows, columns, random);
    round_rows<T>(from.view(), rounded.view());

    for (int64_t i = 0; i < kRows; ++i) {
      const float scale = scales[static_cast<size_t>(i * kStride)];
      double most = 0;
      for (int64_t j = 0; j < columns; ++j) {
        most = std::max<double>(most, std::abs(from(i, j)));
        const double kept = static_cast<double>(scale) * whole.row(i)[j];
        // Half a step, plus the errors of 1 / scale, which has 16 bits, and of the product with it.
        CHECK(std::abs(from(i, j) - kept) <= scale * (0.5 + 127 * (0x1p-15 + 3 * kFloatUnit)));
        CHECK(rounded(i, j) == to_float(from_double<T>(kept)));
      }
      CHECK_THAT(scale, Catch::Matchers::WithinRel(static_cast<float>(most) / 127, 1e-6f));
    }
    CHECK(rounded.gaps_kept());
    for (size_t i = 0; i < scales.size(); ++i) CHECK((i % kStride == 0) == (scales[i] != -1.0f));
  }
}

// At every place in the row and with either sign.
template <class T>
void check_not_finite() {
  constexpr int64_t kColumns = 45;
  Random random(2);
  PaddedMatrix<T> from(1, kColumns, random);
  std::vector<int8_t> values(kColumns);
  for (const float bad : {HUGE_VALF, -HUGE_VALF, NAN, -NAN})
    for (int64_t j = 0; j < kColumns; ++j) {
      const T good = from.at(0, j);
      from.at(0, j) = from_double<T>(bad);
      float scale = 0;
      quantize_rows<T>(from.view(), {values.data(), 1, kColumns}, &scale, 1);
      CHECK(!std::isfinite(scale));
      from.at(0, j) = good;
    }
}

}  // namespace

TEST_CASE("Rows of 8-bit integers are the nearest to the original numbers") {
  for_each_instruction_set([] {
    check<float>();
    check<bfloat16>();
  });
}

TEST_CASE("A row of 8-bit integers whose original has a non-finite number has no finite scale") {
  for_each_instruction_set([] {
    check_not_finite<float>();
    check_not_finite<bfloat16>();
  });
}

}  // namespace combiner
