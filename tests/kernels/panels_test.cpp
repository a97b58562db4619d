#include "kernels/panels.h"

#include "catch.h"
#include "instruction_sets.h"
#include "product_bounds.h"
#include "tensor/int8_row.h"

namespace combiner {
namespace {

// A panel is 16 outputs wide; a register block has up to 14 rows and four panels. Products are
// blocked by 128 rows and 256 inputs; with tile registers by 16 or 32 rows, in a different order
// from 65 rows on.
constexpr int64_t kOuts[] = {1, 15, 16, 17, 65, 273};
constexpr int64_t kIns[] = {1, 3, 33, 300};
constexpr int64_t kRows[] = {0, 1, 3, 6, 7, 15, 40, 75, 141};

// The weights that products actually compute with.
template <class Weight>
PaddedMatrix<double> rounded(const PaddedMatrix<float>& weights) {
  const Matrix<const float> from = weights.view();
  PaddedMatrix<double> result(from.rows, from.columns);
  std::vector<int8_t> quantized(static_cast<size_t>(from.columns));
  for (int64_t o = 0; o < from.rows; ++o) {
    double scale = 0;
    if constexpr (std::is_same_v<Weight, int8_t>)
      scale = quantize_row({from.row(o), quantized.size()}, quantized);
    for (int64_t k = 0; k < from.columns; ++k) {
      if constexpr (std::is_same_v<Weight, int8_t>)
        result.at(o, k) = quantized[static_cast<size_t>(k)] * scale;
      else
        result.at(o, k) = to_float(from_double<Weight>(weights(o, k)));
    }
  }
  return result;
}

// Truncates the mantissa of x > 0 to 16 bits.
float cut_to_16_bits(float x) {
  int exponent = 0;
  const float mantissa = std::frexp(x, &exponent);
  return std::ldexp(std::floor(std::ldexp(mantissa, 16)), exponent - 16);
}

// The inputs that products actually compute with: for int8 weights, rounded to multiples of the
// row's largest magnitude / 127.
template <class Weight, class X>
PaddedMatrix<double> rounded_inputs(const PaddedMatrix<X>& x) {
  const Matrix<const X> from = x.view();
  PaddedMatrix<double> result(from.rows, from.columns);
  for (int64_t i = 0; i < from.rows; ++i) {
    float most = 0;
    for (int64_t k = 0; k < from.columns; ++k)
      most = std::max(most, std::abs(static_cast<float>(x(i, k))));
    const float scale = most / 127, inverse = cut_to_16_bits(1 / scale);
    for (int64_t k = 0; k < from.columns; ++k)
      result.at(i, k) = std::is_same_v<Weight, int8_t>
                            ? std::nearbyint(static_cast<float>(x(i, k)) * inverse) * double{scale}
                            : x(i, k);
  }
  return result;
}

template <class X, class Weight, class Y>
void check_products() {
  Random random(1);
  Scratch scratch;
  for (const int64_t out : kOuts)
    for (const int64_t in : kIns) {
      const PaddedMatrix<float> weights(out, in, random);
      const PanelWeights panels = PanelWeights::pack<Weight>(weights.view());
      CHECK(panels.out() == out);
      CHECK(panels.in() == in);
      const PaddedMatrix<double> used = rounded<Weight>(weights);
      const auto weight = [&](int64_t k, int64_t o) { return used.view().row(o)[k]; };
      const std::vector<float> bias = random.normals(static_cast<size_t>(out));
      for (const int64_t rows : kRows)
        for (const bool accumulate : {false, true})
          for (const bool with_bias : {false, true}) {
            const PaddedMatrix<X> x(rows, in, random);
            const PaddedMatrix<Y> before(rows, out, random);
            PaddedMatrix<Y> y = before;
            multiply_panels<X, Y>(x.view(), panels, y.view(),
                                  {accumulate, with_bias ? bias.data() : nullptr}, scratch);
            const PaddedMatrix<double> used_x = rounded_inputs<Weight>(x);
            const auto input = [&](int64_t i, int64_t k) { return used_x.view().row(i)[k]; };
            INFO(rows << " x " << in << " x " << out << (accumulate ? ", added" : "")
                      << (with_bias ? ", bias" : ""));
            CHECK(worst_product_error(y, in, input, weight, accumulate ? &before : nullptr,
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
    check_products<float, int8_t, float>();
    check_products<bfloat16, int8_t, float>();
    check_products<bfloat16, int8_t, bfloat16>();
  });
}

// Products of every number of rows up to 15, and of 16, 40 and 64 rows, must equal those of each
// row alone bit for bit, both with all panels at once and in two ranges of panels.
template <class X, class Weight, class Y>
void check_rows_apart() {
  Random random(2);
  constexpr int64_t kMostRows = 64, kIn = 301, kOut = 166;
  const PaddedMatrix<float> weights(kOut, kIn, random);
  const PanelWeights panels = PanelWeights::pack<Weight>(weights.view());
  const std::vector<float> bias = random.normals(kOut);
  const PaddedMatrix<X> x(kMostRows, kIn, random);
  const PaddedMatrix<Y> before(kMostRows, kOut, random);
  PaddedMatrix<Y> alone = before;
  Scratch scratch;
  for (int64_t i = 0; i < kMostRows; ++i)
    multiply_panels<X, Y>(x.view().row_block(i, 1), panels, alone.view().row_block(i, 1),
                          {true, bias.data()}, scratch);
  const auto check = [&](int64_t rows, int64_t cut) {
    PaddedMatrix<Y> together = before;
    for (const PanelRange range : {PanelRange{0, cut}, PanelRange{cut, panels.panel_count()}})
      multiply_panels<X, Y>(x.view().row_block(0, rows), panels, together.view().row_block(0, rows),
                            {true, bias.data()}, range, scratch);
    bool same = true;
    for (int64_t i = 0; i < kMostRows; ++i)
      for (int64_t j = 0; j < kOut; ++j)
        same = same && together(i, j) == (i < rows ? alone : before)(i, j);
    INFO(rows << " rows, panels cut at " << cut);
    CHECK(same);
    CHECK(together.gaps_kept());
  };
  for (const int64_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 40, 64})
    check(rows, 0);
  for (const int64_t cut : {1, 2, 3, 7, 10}) {
    check(1, cut);
    check(9, cut);
  }
}

// The independence of a sampled picture from the batch and the threads rests on this.
TEST_CASE("The bits of a row depend neither on the number of rows nor on the range of panels") {
  for_each_instruction_set([] {
    check_rows_apart<float, float, float>();
    check_rows_apart<float, bfloat16, float>();
    check_rows_apart<bfloat16, bfloat16, float>();
    check_rows_apart<bfloat16, bfloat16, bfloat16>();
    check_rows_apart<float, int8_t, float>();
    check_rows_apart<bfloat16, int8_t, float>();
    check_rows_apart<bfloat16, int8_t, bfloat16>();
  });
}

TEST_CASE("Float products have the same bits on every instruction set with fused multiply-add") {
  for (const int64_t out : {1, 3, 16, 40, 100})
    for (const int64_t in : {1, 3, 17, 100, 300})
      for (const int64_t rows : {1, 3, 15, 40}) {
        INFO(rows << " x " << in << " x " << out);
        check_same_bits([&] {
          Random random(3);
          const PaddedMatrix<float> weights(out, in, random), x(rows, in, random);
          const PanelWeights panels = PanelWeights::pack<float>(weights.view());
          const std::vector<float> bias = random.normals(static_cast<size_t>(out));
          PaddedMatrix<float> y(rows, out, random);
          Scratch scratch;
          multiply_panels<float, float>(x.view(), panels, y.view(),
                                        {true, bias.data(), Activation::gelu}, scratch);
          return y.elements();
        });
      }
}

// Row 1 is all zeros and row 2 is smaller than a scale can be. Rows 3 and 4 contain non-finite
// numbers.
TEST_CASE("Products of int8 weights with inputs that have no scale") {
  for_each_instruction_set([] {
    Random random(4);
    constexpr int64_t kIn = 21, kOut = 20;
    const PaddedMatrix<float> weights(kOut, kIn, random);
    const PanelWeights panels = PanelWeights::pack<int8_t>(weights.view());
    PaddedMatrix<float> x(5, kIn, random);
    for (int64_t k = 0; k < kIn; ++k) {
      x.at(1, k) = 0;
      x.at(2, k) = 1e-36f;
    }
    x.at(3, 20) = NAN;
    x.at(4, 0) = -INFINITY;
    PaddedMatrix<float> y(5, kOut, random);
    Scratch scratch;
    multiply_panels<float, float>(x.view(), panels, y.view(), {}, scratch);
    for (int64_t j = 0; j < kOut; ++j) {
      CHECK(std::isfinite(y(0, j)));
      CHECK(y(1, j) == 0);
      CHECK(y(2, j) == 0);
      CHECK(!std::isfinite(y(3, j)));
      CHECK(!std::isfinite(y(4, j)));
    }
    CHECK(y.gaps_kept());
  });
}

TEST_CASE("A range of panels writes only its own outputs") {
  Random random(3);
  const PaddedMatrix<float> weights(50, 5, random);
  const PanelWeights panels = PanelWeights::pack<float>(weights.view());
  CHECK(panels.panel_count() == 4);
  const PaddedMatrix<float> x(3, 5, random);
  const PaddedMatrix<float> before(3, 50, random);
  PaddedMatrix<float> y = before;
  Scratch scratch;
  multiply_panels<float, float>(x.view(), panels, y.view(), {.accumulate = true}, PanelRange{1, 3},
                                scratch);
  for (int64_t i = 0; i < 3; ++i)
    for (int64_t j = 0; j < 50; ++j) {
      INFO(i << ", " << j);
      CHECK((y(i, j) != before(i, j)) == (j >= 16 && j < 48));
    }
}

template <class Weight>
void check_transposed() {
  Random random(4);
  Scratch scratch;
  for (const int64_t out : kOuts)
    for (const int64_t in : kIns) {
      const PaddedMatrix<float> weights(out, in, random);
      PaddedMatrix<float> across(in, out);
      for (int64_t o = 0; o < out; ++o)
        for (int64_t k = 0; k < in; ++k) across.at(k, o) = weights.view().row(o)[k];
      const PaddedMatrix<Weight> x(3, in, random);
      const auto product = [&](const PanelWeights& panels) {
        std::vector<float> y(static_cast<size_t>(3 * out));
        multiply_panels<Weight, float>(x.view(), panels, {y.data(), 3, out}, {}, scratch);
        return y;
      };
      const std::vector<float> expected = product(PanelWeights::pack<Weight>(weights.view()));
      INFO(out << " x " << in);
      CHECK(product(PanelWeights::pack<Weight>({across.view(), true})) == expected);
      if constexpr (std::is_same_v<Weight, bfloat16>) {
        PanelWeights panels = PanelWeights::pack<Weight>(PaddedMatrix<float>(out, in).view());
        const PanelWeights copy = panels;
        panels.repack({across.view(), true});
        CHECK(product(copy) == expected);
        CHECK_THROWS_AS(panels.repack(PaddedMatrix<float>(out, in + 1).view()), std::logic_error);
      }
    }
}

TEST_CASE("Packing transposed weights, or packing over other weights, makes the same panels") {
  for_each_instruction_set([] {
    check_transposed<float>();
    check_transposed<bfloat16>();
  });
}

}  // namespace
}  // namespace combiner
