#include "kernels/panels.h"

#include "catch.h"
#include "instruction_sets.h"
#include "product_bounds.h"

namespace combiner {
namespace {

// Panels are 32 wide, blocks four rows high.
constexpr int64_t kOuts[] = {1, 3, 17, 31, 32, 33, 65};
constexpr int64_t kIns[] = {1, 3, 8, 33};
constexpr int64_t kRows[] = {0, 1, 3, 4, 7, 9};

template <class X, class Weight, class Y>
void check_products() {
  Random random(1);
  for (const int64_t out : kOuts)
    for (const int64_t in : kIns) {
      const PaddedMatrix<float> weights(out, in, random);
      const PanelWeights panels = PanelWeights::pack<Weight>(weights.view());
      CHECK(panels.out() == out);
      CHECK(panels.in() == in);
      const auto weight = [&](int64_t k, int64_t o) {
        return double{to_float(from_double<Weight>(weights(o, k)))};
      };
      const std::vector<float> bias = random.normals(static_cast<size_t>(out));
      for (const int64_t rows : kRows)
        for (const bool accumulate : {false, true})
          for (const bool with_bias : {false, true}) {
            const PaddedMatrix<X> x(rows, in, random);
            const PaddedMatrix<Y> before(rows, out, random);
            PaddedMatrix<Y> y = before;
            multiply_panels<X, Y>(x.view(), panels, y.view(), accumulate,
                                  with_bias ? bias.data() : nullptr);
            INFO(rows << " x " << in << " x " << out << (accumulate ? ", added" : "")
                      << (with_bias ? ", bias" : ""));
            CHECK(worst_product_error(y, in, x, weight, accumulate ? &before : nullptr,
                                      with_bias ? bias.data() : nullptr) <= 1.0);
            CHECK(y.gaps_kept());
          }
    }
}

TEST_CASE("multiply_panels agrees with a plain loop") {
  for_each_instruction_set([] {
    check_products<float, float, float>();
    check_products<bfloat16, float, float>();
    check_products<bfloat16, bfloat16, float>();
    check_products<bfloat16, bfloat16, bfloat16>();
    check_products<float, bfloat16, float>();
  });
}

template <class X, class Weight, class Y>
void check_rows_apart() {
  Random random(2);
  constexpr int64_t kMostRows = 9, kIn = 77, kOut = 70;
  const PaddedMatrix<float> weights(kOut, kIn, random);
  const PanelWeights panels = PanelWeights::pack<Weight>(weights.view());
  const std::vector<float> bias = random.normals(kOut);
  const PaddedMatrix<X> x(kMostRows, kIn, random);
  const PaddedMatrix<Y> before(kMostRows, kOut, random);
  PaddedMatrix<Y> alone = before;
  for (int64_t i = 0; i < kMostRows; ++i)
    multiply_panels<X, Y>(x.view().row_block(i, 1), panels, alone.view().row_block(i, 1), true,
                          bias.data());
  for (int64_t rows = 2; rows <= kMostRows; ++rows) {
    PaddedMatrix<Y> together = before;
    multiply_panels<X, Y>(x.view().row_block(0, rows), panels, together.view().row_block(0, rows),
                          true, bias.data());
    bool same = true;
    for (int64_t i = 0; i < rows; ++i)
      for (int64_t j = 0; j < kOut; ++j) same = same && together(i, j) == alone(i, j);
    INFO(rows << " rows");
    CHECK(same);
  }
}

// What a sampled picture's independence of the batch rests on.
TEST_CASE("The bits of a row do not depend on the number of rows") {
  for_each_instruction_set([] {
    check_rows_apart<float, float, float>();
    check_rows_apart<bfloat16, bfloat16, float>();
    check_rows_apart<bfloat16, bfloat16, bfloat16>();
  });
}

}  // namespace
}  // namespace combiner
