#include "kernels/activation.h"

#include <cmath>

#include "catch.h"
#include "error_bounds.h"
#include "instruction_sets.h"
#include "padded_matrix.h"
#include "reference_model.h"
#include "worse.h"

namespace combiner {
namespace {

constexpr int64_t kSizes[] = {1, 3, 7, 8, 17, 33};
constexpr double kGeluScale = 1.5957691216057308;  // 2 sqrt(2 / pi)

// gelu(x) = x gate(x), where gate(x) = 1 / (1 + e^-u) and u = kGeluScale (x + 0.044715 x^3).
double gelu_exponent(double x) { return kGeluScale * (x + 0.044715 * x * x * x); }
double gate(double x) { return 1 / (1 + std::exp(-gelu_exponent(x))); }
double gelu(double x) { return x * gate(x); }
double gelu_slope(double x) {
  const double du = kGeluScale * (1 + 3 * 0.044715 * x * x);
  return gate(x) + x * du * gate(x) * (1 - gate(x));
}

// u has a relative error of five units, so e^-u has one of 5 |u| units plus four of its own. The
// gate inherits 1 - gate of that error and adds two units of its own. The gate stops falling below
// e^-87. For bfloat16 results the exponential is only accurate to 2^-13 and the reciprocal to
// 2^-14.
constexpr double kSmallestGate = 2e-38;
template <class T>
double gate_error(double x) {
  constexpr bool kCoarse = std::is_same_v<T, bfloat16>;
  const double exponential =
      5 * std::abs(gelu_exponent(x)) * kFloatUnit + (kCoarse ? 0x1p-13 : 4 * kFloatUnit);
  const double own = kCoarse ? 0x1p-14 + kFloatUnit : 2 * kFloatUnit;
  return gate(x) * ((1 - gate(x)) * exponential + own) + kSmallestGate;
}
template <class T>
double gelu_error(double x) {
  return std::abs(x) * gate_error<T>(x) + kFloatUnit * std::abs(gelu(x));
}
// gate (1 - gate) is a difference of values of at most the gate; x du is off by five units.
template <class T>
double gelu_slope_error(double x) {
  const double x_du = std::abs(x) * kGeluScale * (1 + 3 * 0.044715 * x * x);
  return gate_error<T>(x) * (1 + x_du) +
         x_du * kFloatUnit * (2 * gate(x) + 6 * gate(x) * (1 - gate(x))) +
         kFloatUnit * std::abs(gelu_slope(x));
}

// Values around zero and in both tails.
template <class T>
PaddedMatrix<T> inputs(int64_t rows, int64_t columns) {
  Random random(1);
  PaddedMatrix<T> x(rows, columns, random, 3.0);
  const double special[] = {0.0, -0.0, 1e-30, -1e-30, 10.0, -10.0, 100.0, -100.0, 1e4, -1e4};
  for (int64_t i = 0; i < rows; ++i) {
    const size_t which = static_cast<size_t>(i) % std::size(special);
    x.at(i, i % columns) = from_double<T>(special[which]);
  }
  return x;
}

template <class T>
void check_activate(int64_t rows, int64_t columns) {
  const PaddedMatrix<T> x = inputs<T>(rows, columns);
  PaddedMatrix<T> relu_y(rows, columns), gelu_y(rows, columns);
  activate<T>(Activation::relu, x.view(), relu_y.view());
  activate<T>(Activation::gelu, x.view(), gelu_y.view());
  ErrorBounds bounds;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      bounds.add(relu_y(i, j), std::max(x(i, j), 0.0), 0.0);
      const double expected = gelu(x(i, j));
      const double error = gelu_error<T>(x(i, j));
      bounds.add(gelu_y(i, j), expected, error + storing_error<T>(std::abs(expected) + error));
    }
  INFO(rows << " x " << columns);
  CHECK(bounds.worst() <= 1.0);
  CHECK(relu_y.gaps_kept());
  CHECK(gelu_y.gaps_kept());

  PaddedMatrix<T> in_place = x;
  activate<T>(Activation::gelu, in_place.view(), in_place.view());
  bool same = true;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) same = same && in_place(i, j) == gelu_y(i, j);
  CHECK(same);
}

TEST_CASE("activate agrees with the plain functions") {
  for_each_instruction_set([] {
    for (const int64_t columns : kSizes)
      for (const int64_t rows : {1, 20}) {
        check_activate<float>(rows, columns);
        check_activate<bfloat16>(rows, columns);
      }
  });
}

template <class T>
void check_nan() {
  for (const int64_t columns : kSizes) {
    PaddedMatrix<T> x = inputs<T>(1, columns), y(1, columns);
    x.at(0, columns - 1) = from_double<T>(NAN);
    for (const Activation activation : {Activation::relu, Activation::gelu}) {
      activate<T>(activation, x.view(), y.view());
      CHECK(std::isnan(y(0, columns - 1)));
    }
  }
}

TEST_CASE("activate keeps a NaN, which says that weights are of no use") {
  for_each_instruction_set([] {
    check_nan<float>();
    check_nan<bfloat16>();
  });
}

template <class T>
void check_slope(int64_t rows, int64_t columns) {
  const PaddedMatrix<T> x = inputs<T>(rows, columns);
  PaddedMatrix<T> relu_y(rows, columns), gelu_y(rows, columns), gelu_alone(rows, columns);
  PaddedMatrix<T> relu_slope(rows, columns), gelu_slopes(rows, columns);
  activate<T>(Activation::relu, x.view(), relu_y.view(), relu_slope.view());
  activate<T>(Activation::gelu, x.view(), gelu_y.view(), gelu_slopes.view());
  activate<T>(Activation::gelu, x.view(), gelu_alone.view());
  ErrorBounds bounds;
  bool same = true;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) {
      bounds.add(relu_y(i, j), std::max(x(i, j), 0.0), 0.0);
      bounds.add(relu_slope(i, j), x(i, j) > 0 ? 1.0 : 0.0, 0.0);
      const double expected = gelu_slope(x(i, j));
      const double error = gelu_slope_error<T>(x(i, j));
      bounds.add(gelu_slopes(i, j), expected, error + storing_error<T>(std::abs(expected) + error));
      same = same && gelu_y(i, j) == gelu_alone(i, j);
    }
  INFO(rows << " x " << columns);
  CHECK(bounds.worst() <= 1.0);
  CHECK(same);
  for (const auto* m : {&relu_y, &gelu_y, &relu_slope, &gelu_slopes}) CHECK(m->gaps_kept());

  PaddedMatrix<T> in_place = x;
  activate<T>(Activation::gelu, in_place.view(), gelu_alone.view(), in_place.view());
  same = true;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j)
      same = same && in_place(i, j) == gelu_slopes(i, j) && gelu_alone(i, j) == gelu_y(i, j);
  CHECK(same);
}

TEST_CASE("activate's slopes agree with the plain derivatives") {
  for_each_instruction_set([] {
    for (const int64_t columns : kSizes)
      for (const int64_t rows : {1, 20}) {
        check_slope<float>(rows, columns);
        check_slope<bfloat16>(rows, columns);
      }
  });
}

TEST_CASE("The plain gelu and its derivative agree with the tanh form and finite differences") {
  constexpr double kStep = 1e-5;
  double worst_value = 0, worst_slope = 0;
  for (double x = -12; x <= 12; x += 0.01) {
    worst_value = worse(worst_value, std::abs(gelu(x) - reference::gelu(x)));
    const double difference =
        (reference::gelu(x + kStep) - reference::gelu(x - kStep)) / (2 * kStep);
    worst_slope = worse(worst_slope, std::abs(gelu_slope(x) - difference));
  }
  // Doubles of up to 12 have errors of 1e-15.
  CHECK(worst_value < 1e-14);
  // That error divided by the step, plus a sixth of the step's square times the third derivative,
  // which is about 1.
  CHECK(worst_slope < 1e-9);
}

}  // namespace
}  // namespace combiner
