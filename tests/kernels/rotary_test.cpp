#include "kernels/rotary.h"

#include <cmath>
#include <complex>
#include <vector>

#include "catch.h"
#include "instruction_sets.h"
#include "padded_matrix.h"
#include "random.h"
#include "worse.h"

namespace combiner {
namespace {

constexpr int64_t kGridRows = 5;
constexpr int64_t kGridColumns = 7;

// Angles that differ between rows, columns and pairs.
double angle_of(int64_t position, int64_t pair, int64_t quarter) {
  const auto row = static_cast<double>(position / kGridColumns);
  const auto column = static_cast<double>(position % kGridColumns);
  return pair < quarter ? row * std::pow(0.7, static_cast<double>(pair))
                        : column * std::pow(0.6, static_cast<double>(pair - quarter));
}

std::vector<float> table(int64_t places, int64_t quarter, double base) {
  std::vector<float> cosines_and_sines;
  for (int64_t place = 0; place < places; ++place)
    for (const bool sine : {false, true})
      for (int64_t j = 0; j < quarter; ++j) {
        const double angle = static_cast<double>(place) * std::pow(base, static_cast<double>(j));
        cosines_and_sines.push_back(static_cast<float>(sine ? std::sin(angle) : std::cos(angle)));
      }
  return cosines_and_sines;
}

template <class From, class To>
void check(int64_t first, int64_t rows, int64_t heads, int64_t quarter) {
  const int64_t half = 2 * quarter, head_dim = 4 * quarter, dim = heads * head_dim;
  const std::vector<float> of_row = table(kGridRows, quarter, 0.7);
  const std::vector<float> of_column = table(kGridColumns, quarter, 0.6);
  const RotaryAngles angles{{of_row.data(), kGridRows, half},
                            {of_column.data(), kGridColumns, half}};
  Random random(1);
  PaddedMatrix<From> from(rows, dim, random);

  for (const Rotation rotation : {Rotation::forward, Rotation::back}) {
    PaddedMatrix<To> to(rows, dim);
    rotate_heads<From, To>(from.view(), first, angles, rotation, to.view());
    CHECK(to.gaps_kept());
    double worst = 0;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < dim; ++j) {
        const int64_t pair = j % head_dim % half;
        const int64_t a = j - j % head_dim + pair;
        const double angle = angle_of(first + i, pair, quarter);
        const std::complex<double> point(from(i, a), from(i, a + half));
        const std::complex<double> turned =
            point * std::polar(1.0, rotation == Rotation::forward ? angle : -angle);
        const double expected = j == a ? turned.real() : turned.imag();
        // Two products with rounded factors and a sum, plus the rounding of the result.
        const double unit = std::is_same_v<To, float> ? 0 : 0x1p-8;
        const double bound = 4 * 0x1p-24 * std::abs(point) + unit * std::abs(expected) + 1e-12;
        worst = worse(worst, std::abs(to(i, j) - expected) / bound);
      }
    CHECK(worst <= 1);
    if constexpr (std::is_same_v<From, To>) {
      rotate_heads<From, To>(from.view(), first, angles, rotation, from.view());
      bool same = true;
      for (int64_t i = 0; i < rows; ++i)
        for (int64_t j = 0; j < dim; ++j) same = same && from(i, j) == to(i, j);
      CHECK(same);
    }
  }
}

TEST_CASE("rotate_heads rotates pairs of numbers by the angles of their positions") {
  for_each_instruction_set([] {
    for (const int64_t quarter : {1, 2, 3, 8, 16, 80})
      for (const auto& [first, rows, heads] : {std::tuple(0, 1, 1), std::tuple(0, 35, 2),
                                               std::tuple(11, 9, 3), std::tuple(34, 1, 1)}) {
        CAPTURE(quarter, first, rows, heads);
        check<float, float>(first, rows, heads, quarter);
        check<float, bfloat16>(first, rows, heads, quarter);
        check<bfloat16, bfloat16>(first, rows, heads, quarter);
      }
  });
}

TEST_CASE("rotate_heads has the same bits on every instruction set with fused multiply-add") {
  for (const int64_t quarter : {1, 2, 3, 5, 8, 10, 25}) {
    INFO(4 * quarter << " per head");
    check_same_bits([&] {
      const std::vector<float> of_row = table(kGridRows, quarter, 0.7);
      const std::vector<float> of_column = table(kGridColumns, quarter, 0.6);
      const RotaryAngles angles{{of_row.data(), kGridRows, 2 * quarter},
                                {of_column.data(), kGridColumns, 2 * quarter}};
      Random random(2);
      const PaddedMatrix<float> from(9, 12 * quarter, random);
      PaddedMatrix<float> to(9, 12 * quarter);
      rotate_heads<float, float>(from.view(), 11, angles, Rotation::forward, to.view());
      return to.elements();
    });
  }
}

}  // namespace
}  // namespace combiner
