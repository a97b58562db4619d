#include "matmul/matmul.h"

#include <omp.h>

#include <filesystem>
#include <iterator>
#include <stdexcept>
#include <thread>

#include "catch.h"
#include "cpu/features.h"
#include "error_of.h"
#include "product_bounds.h"

namespace combiner {
namespace {

struct Shape {
  int64_t m, k, n;
};
// One row, one column, a depth of 1, any two of these and all three, and shapes that fill vectors
// exactly or just miss.
constexpr Shape kShapes[] = {{1, 1, 1},     {1, 1, 19},   {1, 33, 1},    {19, 1, 1},   {1, 35, 17},
                             {33, 17, 1},   {17, 1, 33},  {3, 7, 17},    {17, 16, 33}, {16, 32, 48},
                             {20, 36, 108}, {64, 33, 65}, {33, 300, 130}};

// A factor [rows, columns], stored as is or transposed.
template <class T>
struct Stored {
  PaddedMatrix<T> matrix;
  bool is_transposed;

  Stored(int64_t rows, int64_t columns, bool is_transposed_, Random& random)
      : matrix(is_transposed_ ? columns : rows, is_transposed_ ? rows : columns, random),
        is_transposed(is_transposed_) {}

  Factor factor() const { return is_transposed ? transposed(matrix.view()) : plain(matrix.view()); }
  double operator()(int64_t i, int64_t j) const {
    return is_transposed ? matrix(j, i) : matrix(i, j);
  }
};

template <class In, class Out>
void check_products() {
  Random random(1);
  Multiplier multiplier;
  for (const auto& [m, k, n] : kShapes)
    for (const bool a_transposed : {false, true})
      for (const bool b_transposed : {false, true})
        for (const bool accumulate : {false, true}) {
          INFO(m << " x " << k << " x " << n << (a_transposed ? ", a transposed" : "")
                 << (b_transposed ? ", b transposed" : "") << (accumulate ? ", added" : ""));
          // Run twice: the second time the primitive exists already and the matrices have other
          // addresses.
          for (int time = 0; time < 2; ++time) {
            const Stored<In> a(m, k, a_transposed, random), b(k, n, b_transposed, random);
            const PaddedMatrix<Out> before(m, n, random);
            PaddedMatrix<Out> c = before;
            multiplier.multiply(a.factor(), b.factor(), c.view(), accumulate);
            CHECK(worst_product_error(c, k, a, b, accumulate ? &before : nullptr, nullptr) <= 1.0);
            CHECK(c.gaps_kept());
          }
        }
}

TEST_CASE("Products agree with a plain loop") {
  SECTION("float") { check_products<float, float>(); }
  SECTION("bfloat16 into float") { check_products<bfloat16, float>(); }
  SECTION("bfloat16") { check_products<bfloat16, bfloat16>(); }
}

template <class T>
bool same_elements(const PaddedMatrix<T>& a, const PaddedMatrix<T>& b) {
  for (int64_t i = 0; i < a.view().rows; ++i)
    for (int64_t j = 0; j < a.view().columns; ++j)
      if (a(i, j) != b(i, j)) return false;
  return true;
}

// Whether `activated` is gelu(x) as activate() computes it from stored x. With AMX, the activation
// reads outputs before they are rounded to bfloat16, which changes x by up to 2^-8 of it. The slope
// of GELU is at most 1.13, and both results are rounded by up to 2^-8 of them.
template <class T>
bool is_activated(const PaddedMatrix<T>& activated, const PaddedMatrix<T>& x) {
  PaddedMatrix<T> expected(x.view().rows, x.view().columns);
  activate<T>(Activation::gelu, std::as_const(x).view(), expected.view());
  const double unit = cpu_features().amx && std::is_same_v<T, bfloat16> ? kBfloat16Unit : 0;
  for (int64_t i = 0; i < x.view().rows; ++i)
    for (int64_t j = 0; j < x.view().columns; ++j) {
      const double difference = std::abs(activated(i, j) - expected(i, j));
      const double bound = 1.13 * std::abs(x(i, j)) + 2 * std::abs(expected(i, j));
      if (!(difference <= unit * bound)) return false;
    }
  return true;
}

template <class Weight, class In, class Out>
void check_packed() {
  Random random(2);
  Multiplier multiplier;
  for (const auto& [m, k, n] : kShapes)
    for (const bool accumulate : {false, true})
      for (const bool with_bias : {false, true}) {
        const auto weights = std::make_unique<PaddedMatrix<float>>(n, k, random);
        const PaddedMatrix<float> kept = *weights;
        const auto weight = [&](int64_t i, int64_t j) {
          return double{to_float(from_double<Weight>(kept(j, i)))};
        };
        const PackedWeights packed(weights->view(), element_type<Weight>);
        *weights = PaddedMatrix<float>(n, k);  // the packed weights are a copy
        CHECK(packed.out() == n);
        CHECK(packed.in() == k);
        const Stored<In> a(m, k, false, random);
        const std::vector<float> bias = random.normals(static_cast<size_t>(n));
        const PaddedMatrix<Out> before(m, n, random);
        PaddedMatrix<Out> c = before;
        multiplier.multiply(a.factor(), packed, c.view(),
                            {accumulate, with_bias ? bias.data() : nullptr});
        INFO(m << " x " << k << " x " << n << (accumulate ? ", added" : "")
               << (with_bias ? ", bias" : ""));
        CHECK(worst_product_error(c, k, a, weight, accumulate ? &before : nullptr,
                                  with_bias ? bias.data() : nullptr) <= 1.0);
        CHECK(c.gaps_kept());

        PaddedMatrix<Out> activated = before;
        multiplier.multiply(a.factor(), packed, activated.view(),
                            {accumulate, with_bias ? bias.data() : nullptr, Activation::gelu});
        CHECK(is_activated<Out>(activated, c));
        CHECK(activated.gaps_kept());
      }
}

TEST_CASE("Products with packed weights agree with a plain loop") {
  SECTION("float") { check_packed<float, float, float>(); }
  SECTION("bfloat16 into float") { check_packed<bfloat16, bfloat16, float>(); }
  SECTION("bfloat16") { check_packed<bfloat16, bfloat16, bfloat16>(); }
  SECTION("float, by bfloat16 weights") { check_packed<bfloat16, float, float>(); }
}

template <class T>
void check_view() {
  Random random(3);
  Multiplier multiplier;
  PaddedMatrix<T> weights(9, 5, random);
  const PackedWeights packed = PackedWeights::view(transposed(weights.view()));
  CHECK(packed.out() == 9);
  CHECK(packed.in() == 5);
  const PaddedMatrix<T> a(3, 5, random);
  const auto weight = [&](int64_t i, int64_t j) { return weights(j, i); };
  for (int change = 0; change < 2; ++change) {
    PaddedMatrix<float> c(3, 9);
    multiplier.multiply(plain(a.view()), packed, c.view());
    CHECK(worst_product_error<float>(c, 5, a, weight, nullptr, nullptr) <= 1.0);
    for (int64_t i = 0; i < 9; ++i)
      for (int64_t j = 0; j < 5; ++j) weights.at(i, j) = from_double<T>(random.normal());
  }
}

TEST_CASE("A view of weights follows their changes") {
  check_view<float>();
  check_view<bfloat16>();
}

template <class In, class Out>
void check_depth_of_zero() {
  Random random(8);
  Multiplier multiplier;
  for (const bool accumulate : {false, true}) {
    const PaddedMatrix<In> left(3, 0), right(0, 4);
    const PaddedMatrix<Out> before(3, 4, random);
    PaddedMatrix<Out> c = before;
    multiplier.multiply(plain(left.view()), plain(right.view()), c.view(), accumulate);
    CHECK(worst_product_error(c, 0, left, right, accumulate ? &before : nullptr, nullptr) <= 1.0);
    CHECK(c.gaps_kept());
  }
}

TEST_CASE("A product of depth zero is its addend") {
  check_depth_of_zero<float, float>();
  check_depth_of_zero<bfloat16, float>();
  check_depth_of_zero<bfloat16, bfloat16>();
}

TEST_CASE("Errors from oneDNN describe the product") {
  Random random(9);
  Multiplier multiplier;
  const PaddedMatrix<float> a(2, 4, random), b(4, 3, random);
  PaddedMatrix<float> c(2, 3);
  const Matrix<float> overlapping(c.view().data, 2, 3, 2);
  const std::string error =
      error_of([&] { multiplier.multiply(plain(a.view()), plain(b.view()), overlapping); });
  CHECK_THAT(error, contains("oneDNN"));
  CHECK_THAT(error, contains("[2, 4] of f32, rows 7 apart, and [4, 3] of f32, rows 6 apart"));
  CHECK_THAT(error, contains("into [2, 3] of f32, rows 2 apart: "));
}

TEST_CASE("One multiplier computes products of many shapes and weights in turn") {
  Random random(4);
  Multiplier multiplier;
  const PaddedMatrix<float> first(6, 4, random), second(6, 4, random), a(2, 4, random);
  const PackedWeights packed_first(first.view(), ElementType::f32);
  const PackedWeights packed_second(second.view(), ElementType::f32);
  const auto weight_of = [](const PaddedMatrix<float>& weights) {
    return [&](int64_t i, int64_t j) { return weights(j, i); };
  };
  for (int time = 0; time < 2; ++time) {
    PaddedMatrix<float> c(2, 6);
    multiplier.multiply(plain(a.view()), packed_first, c.view());
    CHECK(worst_product_error<float>(c, 4, a, weight_of(first), nullptr, nullptr) <= 1.0);
    multiplier.multiply(plain(a.view()), packed_second, c.view());
    CHECK(worst_product_error<float>(c, 4, a, weight_of(second), nullptr, nullptr) <= 1.0);
  }
  Multiplier moved = std::move(multiplier);
  PaddedMatrix<float> c(2, 6);
  moved.multiply(plain(a.view()), packed_first, c.view());
  CHECK(worst_product_error<float>(c, 4, a, weight_of(first), nullptr, nullptr) <= 1.0);
}

template <class X, class Y>
void check_int8() {
  Random random(6);
  Multiplier multiplier;
  Scratch scratch;
  for (const auto& [m, k, n] : kShapes)
    for (const int combination : {0, 1, 2, 3}) {
      const bool accumulate = combination % 2 == 1;
      INFO(m << " x " << k << " x " << n << ", " << combination);
      const PaddedMatrix<float> weights(n, k, random);
      const auto panels = PanelWeights::pack<int8_t>(weights.view());
      const PackedWeights packed(panels);
      CHECK(packed.out() == n);
      CHECK(packed.in() == k);
      const std::vector<float> values = random.normals(static_cast<size_t>(n));
      const float* bias = combination / 2 == 1 ? values.data() : nullptr;
      const PaddedMatrix<X> x(m, k, random);
      const PaddedMatrix<Y> before(m, n, random);
      PaddedMatrix<Y> expected = before, found = before;
      multiply_panels<X, Y>(x.view(), panels, expected.view(), {accumulate, bias}, scratch);
      multiplier.multiply(plain(x.view()), packed, found.view(), {accumulate, bias});
      CHECK(same_elements(found, expected));
      CHECK(found.gaps_kept());
    }
}

TEST_CASE("Products with int8 weights equal those of multiply_panels") {
  SECTION("float") { check_int8<float, float>(); }
  SECTION("bfloat16 into float") { check_int8<bfloat16, float>(); }
  SECTION("bfloat16") { check_int8<bfloat16, bfloat16>(); }
  SECTION("sizes that do not fit and transposes are refused") {
    Random random(7);
    Multiplier multiplier;
    const PaddedMatrix<float> weights(3, 4, random), a(2, 4, random), wrong(2, 5, random);
    const PaddedMatrix<float> upright(4, 2, random);
    const PackedWeights packed(PanelWeights::pack<int8_t>(weights.view()));
    PaddedMatrix<float> c(2, 3, random), other(2, 4, random);
    PaddedMatrix<bfloat16> rounded(2, 3, random);
    CHECK_THROWS_AS(multiplier.multiply(plain(wrong.view()), packed, c.view()), std::logic_error);
    CHECK_THROWS_AS(multiplier.multiply(plain(a.view()), packed, other.view()), std::logic_error);
    CHECK_THROWS_AS(multiplier.multiply(plain(a.view()), packed, rounded.view()), std::logic_error);
    CHECK_THROWS_AS(multiplier.multiply(transposed(upright.view()), packed, c.view()),
                    std::logic_error);
  }
}

TEST_CASE("Products of zero rows do nothing, and mismatched sizes are refused") {
  Random random(5);
  Multiplier multiplier;
  const PaddedMatrix<float> none(0, 4), a(2, 4, random), b(4, 3, random), wrong(5, 3, random);
  PaddedMatrix<float> nothing(0, 3), c(2, 3, random), other(3, 3);
  multiplier.multiply(plain(none.view()), plain(b.view()), nothing.view());
  CHECK_THROWS_AS(multiplier.multiply(plain(a.view()), plain(wrong.view()), c.view()),
                  std::logic_error);
  CHECK_THROWS_AS(multiplier.multiply(plain(a.view()), plain(b.view()), other.view()),
                  std::logic_error);
}

TEST_CASE("A product starts no thread, and leaves OpenMP as it was") {
  std::thread([] {
    const auto threads = [] {
      const std::filesystem::directory_iterator tasks("/proc/self/task");
      return std::distance(begin(tasks), end(tasks));
    };
    omp_set_num_threads(3);
    const auto before = threads();
    Random random(1);
    const PaddedMatrix<float> a(256, 256, random), b(256, 256, random);
    PaddedMatrix<float> c(256, 256, random);
    Multiplier multiplier;
    multiplier.multiply(plain(a.view()), plain(b.view()), c.view());
    multiplier.multiply(plain(a.view()), PackedWeights(b.view(), ElementType::f32), c.view());
    CHECK(threads() == before);
    CHECK(omp_get_max_threads() == 3);
  }).join();
}

}  // namespace
}  // namespace combiner
