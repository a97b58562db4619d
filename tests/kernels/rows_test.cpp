#include "kernels/rows.h"

#include <bit>
#include <cmath>
#include <limits>

#include "catch.h"
#include "error_bounds.h"
#include "instruction_sets.h"
#include "padded_matrix.h"

namespace combiner {
namespace {

constexpr int64_t kSizes[] = {1, 3, 7, 8, 17, 33, 64};

template <class From, class To>
void check_convert() {
  Random random(1);
  for (const int64_t columns : kSizes) {
    const PaddedMatrix<From> from(3, columns, random);
    PaddedMatrix<To> to(3, columns);
    convert<From, To>(from.view(), to.view());
    bool equal = true;
    for (int64_t i = 0; i < 3; ++i)
      for (int64_t j = 0; j < columns; ++j)
        equal = equal && to(i, j) == to_float(from_double<To>(from(i, j)));
    INFO(columns << " columns");
    CHECK(equal);
    CHECK(to.gaps_kept());
  }
}

TEST_CASE("convert rounds floats as to_bfloat16 does and is exact otherwise") {
  for_each_instruction_set([] {
    check_convert<float, float>();
    check_convert<float, bfloat16>();
    check_convert<bfloat16, float>();
    check_convert<bfloat16, bfloat16>();
  });
}

TEST_CASE("convert to bfloat16 gives the bits of to_bfloat16 for every kind of float") {
  // All upper halves (zeros, denormals, infinities and NaNs among them), with lower halves around
  // the ties.
  std::vector<float> from;
  for (uint32_t upper = 0; upper < 0x10000; ++upper)
    for (const uint32_t lower : {0x0u, 0x1u, 0x7fffu, 0x8000u, 0x8001u, 0xffffu})
      from.push_back(std::bit_cast<float>(upper << 16 | lower));
  const auto size = static_cast<int64_t>(from.size());
  for_each_instruction_set([&] {
    std::vector<bfloat16> to(from.size());
    convert<float, bfloat16>({from.data(), 1, size}, {to.data(), 1, size});
    size_t different = 0;
    for (size_t i = 0; i < from.size(); ++i)
      if (to[i].bits != to_bfloat16(from[i]).bits) ++different;
    CHECK(different == 0);
  });
}

template <class T>
void check_column_sums() {
  Random random(2);
  for (const int64_t rows : kSizes)
    for (const int64_t columns : kSizes) {
      const PaddedMatrix<T> from(rows, columns, random);
      const std::vector<float> before = random.normals(static_cast<size_t>(columns));
      std::vector<float> to = before;
      add_column_sums<T>(from.view(), to.data());
      ErrorBounds bounds;
      for (int64_t j = 0; j < columns; ++j) {
        const auto column = static_cast<size_t>(j);
        double sum = before[column], magnitude = std::abs(sum);
        for (int64_t i = 0; i < rows; ++i) {
          sum += from(i, j);
          magnitude += std::abs(from(i, j));
        }
        bounds.add(to[column], sum, static_cast<double>(rows) * kFloatUnit * magnitude);
      }
      INFO(rows << " x " << columns);
      CHECK(bounds.worst() <= 1.0);
    }
}

TEST_CASE("add_column_sums sums over the rows") {
  for_each_instruction_set([] {
    check_column_sums<float>();
    check_column_sums<bfloat16>();
  });
}

TEST_CASE("sum_rows and add_row add floats in order") {
  for_each_instruction_set([] {
    Random random(3);
    for (const int64_t columns : kSizes) {
      const auto size = static_cast<size_t>(columns);
      std::vector<std::vector<float>> rows;
      std::vector<const float*> pointers;
      for (int r = 0; r < 5; ++r) rows.push_back(random.normals(size));
      for (const std::vector<float>& row : rows) pointers.push_back(row.data());
      std::vector<float> expected(size, 0.0f);
      for (const std::vector<float>& row : rows)
        for (size_t j = 0; j < size; ++j) expected[j] += row[j];
      std::vector<float> to(size, 77.0f);
      sum_rows(pointers, to);
      CHECK(to == expected);
      sum_rows({}, to);
      CHECK(to == std::vector<float>(size, 0.0f));

      std::vector<float> sum = rows[0];
      add_row(rows[1], sum.data());
      for (size_t j = 0; j < size; ++j) expected[j] = rows[0][j] + rows[1][j];
      CHECK(sum == expected);
    }
  });
}

template <class T>
void check_multiply_elements() {
  Random random(6);
  for (const int64_t columns : kSizes) {
    const PaddedMatrix<T> by(3, columns, random), before(3, columns, random);
    PaddedMatrix<T> product = before;
    multiply_elements<T>(by.view(), product.view());
    bool same = true;
    for (int64_t i = 0; i < 3; ++i)
      for (int64_t j = 0; j < columns; ++j)
        same = same && product(i, j) == to_float(from_double<T>(before(i, j) * by(i, j)));
    INFO(columns);
    CHECK(same);
    CHECK(product.gaps_kept());
  }
}

TEST_CASE("multiply_elements rounds each product once") {
  for_each_instruction_set([] {
    check_multiply_elements<float>();
    check_multiply_elements<bfloat16>();
  });
}

TEST_CASE("head_products are the heads' dot products") {
  for_each_instruction_set([] {
    Random random(4);
    for (const int64_t head_dim : kSizes)
      for (const int64_t heads : {1, 3}) {
        const PaddedMatrix<float> a(4, heads * head_dim, random);
        const PaddedMatrix<float> b(4, heads * head_dim, random);
        PaddedMatrix<float> out(4, heads);
        head_products<float>(a.view(), b.view(), head_dim, out.view());
        ErrorBounds bounds;
        for (int64_t i = 0; i < 4; ++i)
          for (int64_t h = 0; h < heads; ++h) {
            double sum = 0, magnitude = 0;
            for (int64_t j = h * head_dim; j < (h + 1) * head_dim; ++j) {
              sum += a(i, j) * b(i, j);
              magnitude += std::abs(a(i, j) * b(i, j));
            }
            bounds.add(out(i, h), sum, static_cast<double>(head_dim + 1) * kFloatUnit * magnitude);
          }
        INFO(heads << " heads of " << head_dim);
        CHECK(bounds.worst() <= 1.0);
        CHECK(out.gaps_kept());
      }
  });
}

// Kernels of different instruction sets sum in different orders. If the switch had no effect, the
// other tests would test one instruction set many times.
TEST_CASE("Instruction sets can be switched") {
  const std::vector<int64_t> targets = hwy::SupportedAndGeneratedTargets();
  if (targets.size() == 1) SKIP_TEST("this machine has one instruction set");
  Random random(5);
  const PaddedMatrix<float> a(50, 64, random), b(50, 64, random);
  std::vector<std::vector<float>> results;
  for_each_instruction_set([&] {
    std::vector<float>& out = results.emplace_back(50);
    head_products<float>(a.view(), b.view(), 64, {out.data(), 50, 1});
  });
  REQUIRE(results.size() >= targets.size());
  CHECK(results.front() != results.at(targets.size() - 1));
}

}  // namespace
}  // namespace combiner
