#include <cmath>
#include <numeric>
#include <vector>

#include "attention_case.h"
#include "catch.h"
#include "error_bounds.h"
#include "instruction_sets.h"
#include "kernels/attend.h"
#include "kernels/rows.h"

namespace combiner {
namespace {

// A matrix of sums, with a bound on the error of each.
struct Sums {
  std::vector<double> value, error;
  int64_t columns;

  explicit Sums(const PaddedMatrix<float>& before) : columns(before.view().columns) {
    for (int64_t i = 0; i < before.view().rows; ++i)
      for (int64_t d = 0; d < columns; ++d) {
        value.push_back(before(i, d));
        error.push_back(kFloatUnit * std::abs(before(i, d)));
      }
  }
  void add(int64_t i, int64_t d, double term, double term_error) {
    const auto at = static_cast<size_t>(i * columns + d);
    value[at] += term;
    error[at] += term_error;
  }
  template <class T>
  void compare(const PaddedMatrix<T>& actual, ErrorBounds& bounds) const {
    const double unit = std::is_same_v<T, float> ? kFloatUnit : kFloatUnit + kBfloat16Unit;
    for (int64_t i = 0; i < actual.view().rows; ++i)
      for (int64_t d = 0; d < columns; ++d) {
        const auto at = static_cast<size_t>(i * columns + d);
        // The value to be rounded already has an error.
        bounds.add(actual(i, d), value[at], (1 + unit) * error[at] + unit * std::abs(value[at]));
      }
  }
};

template <class T>
struct GradientsOf {
  PaddedMatrix<T> query, key, value;

  GradientsOf(const AttentionCase<T>& c)
      : query(c.queries(), c.head_dim()),
        key(c.keys(), c.head_dim()),
        value(c.keys(), c.head_dim()) {}
};

struct Gradients {
  PaddedMatrix<float> query, key, value;

  template <class T>
  Gradients(const AttentionCase<T>& c, Random& random)
      : query(c.queries(), c.head_dim(), random),
        key(c.keys(), c.head_dim(), random),
        value(c.keys(), c.head_dim(), random) {}

  AttentionGradient places() {
    return {query.view().data, query.view().stride, key.view().data,
            key.view().stride, value.view().data,   value.view().stride};
  }
};

struct OutputGradient {
  PaddedMatrix<float> d_out, lse, delta;

  AttentionOutputGradient places() const {
    return {d_out.view().data, d_out.view().stride, lse.view().data,
            lse.view().stride, delta.view().data,   delta.view().stride};
  }
};

// The relative error of d_out, P and dS from rounding them for products.
template <class T>
double product_rounding() {
  return std::is_same_v<T, bfloat16> && cpu_features().amx ? kBfloat16Unit : 0.0;
}

// With P = exp(logit - lse) and dS = P (d_out . V - delta), for the given lse and delta, adds:
// d_query += scale dS K, d_key += scale dS^T Q, d_value += P^T d_out.
template <class T>
void add_gradient(const AttentionCase<T>& c, const OutputGradient& output, Sums& d_query,
                  Sums& d_key, Sums& d_value) {
  const int64_t head_dim = c.head_dim();
  const auto e = static_cast<double>(head_dim);
  const double rounding = product_rounding<T>();
  // The number of terms in the longest sums here, plus a few operations on them.
  const double sum_error = static_cast<double>(std::max(c.keys(), c.queries()) + 4) * kFloatUnit;
  for (int64_t i = 0; i < c.queries(); ++i)
    for (int64_t j = 0; j < c.visible_keys(i); ++j) {
      const double logit = c.logit(i, j);
      const double distance = std::abs(logit - output.lse(i, 0));
      const double p = std::exp(logit - output.lse(i, 0));
      // Errors of the logit's sum, the subtraction and the exponential (2^-13 if it is rounded
      // anyway). A value below the smallest float becomes zero.
      const double p_error = p * (kFloatUnit * ((e + 2) * c.logit_magnitude(i, j) + distance + 5) +
                                  (rounding > 0 ? 0x1p-13 : 0.0)) +
                             0x1p-120;
      double product = -output.delta(i, 0), magnitude = std::abs(product);
      for (int64_t d = 0; d < head_dim; ++d) {
        product += output.d_out(i, d) * c.value(j, d);
        magnitude += std::abs(output.d_out(i, d) * c.value(j, d));
      }
      const double d_logit = p * product;
      const double d_logit_error =
          p_error * std::abs(product) + p * ((e + 3) * kFloatUnit + rounding) * magnitude;
      const auto add = [&](Sums& to, int64_t row, int64_t d, double a, double a_error, double b,
                           double b_rounding = 0.0) {
        // The value to be rounded already has an error, so its rounding error is slightly larger.
        const double rounded = rounding * (std::abs(a) + a_error);
        const double error = a_error + rounded;
        to.add(
            row, d, a * b,
            (error + b_rounding * (std::abs(a) + error) + sum_error * std::abs(a)) * std::abs(b));
      };
      for (int64_t d = 0; d < head_dim; ++d) {
        add(d_query, i, d, d_logit, d_logit_error, c.scale() * c.key(j, d));
        add(d_key, j, d, d_logit, d_logit_error, c.scale() * c.query(i, d));
        add(d_value, j, d, p, p_error, output.d_out(i, d), rounding);
      }
    }
}

// Any gradient and delta will do. The lse must be at least that of the logits, as it is after
// merging with other parts.
template <class T>
OutputGradient random_output_gradient(const AttentionCase<T>& c, Random& random) {
  Scratch scratch;
  AttendResult<T> result(c.queries(), c.head_dim());
  attend(c.tile(), result.output(), Merge::replace, scratch);
  OutputGradient output{PaddedMatrix<float>(c.queries(), c.head_dim(), random), result.lse,
                        PaddedMatrix<float>(c.queries(), 1, random)};
  for (int64_t i = 0; i < c.queries(); ++i)
    output.lse.at(i, 0) += static_cast<float>(std::abs(random.normal()));
  return output;
}

template <class Actual>
double worst_error(const Sums& d_query, const Sums& d_key, const Sums& d_value,
                   const Actual& actual) {
  ErrorBounds bounds;
  d_query.compare(actual.query, bounds);
  d_key.compare(actual.key, bounds);
  d_value.compare(actual.value, bounds);
  return bounds.worst();
}

template <class T, class Actual>
void check_same(const AttentionCase<T>& c, const Sums& d_query, const Sums& d_key,
                const Sums& d_value, const Actual& actual) {
  INFO(c.queries() << " queries, " << c.keys() << " keys of " << c.head_dim() << ", visible "
                   << c.visible.first << " + " << c.visible.step << " i");
  CHECK(worst_error(d_query, d_key, d_value, actual) <= 1.0);
  CHECK(actual.query.gaps_kept());
  CHECK(actual.key.gaps_kept());
  CHECK(actual.value.gaps_kept());
}

template <class T>
void check_tiles() {
  Scratch scratch;
  Random random(1);
  for_each_attention_case<T>([&](const AttentionCase<T>& c) {
    const OutputGradient output = random_output_gradient(c, random);
    Gradients after(c, random);
    Sums d_query(after.query), d_key(after.key), d_value(after.value);
    attend_backward(c.tile(), output.places(), after.places(), scratch);
    add_gradient(c, output, d_query, d_key, d_value);
    check_same(c, d_query, d_key, d_value, after);
  });
}

TEST_CASE("attend_backward agrees with plain loops, under every mask") {
  for_each_instruction_set([] {
    check_tiles<float>();
    check_tiles<bfloat16>();
  });
}

template <class T>
void check_causal_and_full(const AttentionCase<T>& c, Random& random, Scratch& scratch) {
  AttentionCase<T> all = c;
  all.visible = Visible::all();
  const OutputGradient output = random_output_gradient(c, random);
  const OutputGradient whole = random_output_gradient(all, random);
  Gradients sums(c, random);
  GradientsOf<T> after(c);
  Sums d_query(sums.query), d_key(PaddedMatrix<float>(c.keys(), c.head_dim()));
  Sums d_value = d_key;
  const auto place = [](auto& m) { return std::pair(m.view().data, m.view().stride); };
  const auto [query, query_stride] = place(after.query);
  const auto [key, key_stride] = place(after.key);
  const auto [value, value_stride] = place(after.value);
  attend_causal_and_full_backward<T>(
      c.tile(), output.places(), whole.places(),
      {sums.places(), query, query_stride, key, key_stride, value, value_stride}, scratch);
  add_gradient(c, output, d_query, d_key, d_value);
  add_gradient(all, whole, d_query, d_key, d_value);
  check_same(c, d_query, d_key, d_value, after);
}

template <class T>
void check_causal_and_full() {
  Scratch scratch;
  Random random(3);
  for_each_attention_case<T>(
      [&](const AttentionCase<T>& c) { check_causal_and_full(c, random, scratch); });
}

TEST_CASE("attend_causal_and_full_backward agrees with plain loops") {
  for_each_instruction_set([] {
    check_causal_and_full<float>();
    check_causal_and_full<bfloat16>();
  });
}

template <class T>
void check_extreme_causal_and_full() {
  // From 1e6 on, a logit's rounding error may be 1, and its exponential anything.
  constexpr double kSizes[] = {1e2, 1e4};
  Scratch scratch;
  Random random(4);
  for_each_extreme_causal_case<T>(
      kSizes, [&](const AttentionCase<T>& c) { check_causal_and_full(c, random, scratch); });
}

TEST_CASE("attend_causal_and_full_backward with large logits takes nothing from hidden keys") {
  for_each_instruction_set([] {
    check_extreme_causal_and_full<float>();
    check_extreme_causal_and_full<bfloat16>();
  });
}

// ---- Forward and backward together, over two parts, against finite differences

constexpr int64_t kQueries = 17, kRowKeys = 17, kAboveKeys = 5, kHeadDim = 3;

// Attention in double over a row part (causal) and another part (strict). `x` is a flat buffer of
// queries, row keys, row values, other keys and other values. Returns the sum of d_out . out.
double objective(const std::vector<double>& x, const PaddedMatrix<float>& d_out) {
  const double* query = x.data();
  const double* row_key = query + kQueries * kHeadDim;
  const double* row_value = row_key + kRowKeys * kHeadDim;
  const double* above_key = row_value + kRowKeys * kHeadDim;
  const double* above_value = above_key + kAboveKeys * kHeadDim;
  double total = 0;
  for (int64_t i = 0; i < kQueries; ++i) {
    double sum = 0, weighted = 0;
    const auto attend_key = [&](const double* key, const double* value) {
      double logit = 0, product = 0;
      for (int64_t d = 0; d < kHeadDim; ++d) {
        logit += query[i * kHeadDim + d] * key[d] / std::sqrt(double{kHeadDim});
        product += d_out(i, d) * value[d];
      }
      sum += std::exp(logit);
      weighted += std::exp(logit) * product;
    };
    for (int64_t j = 0; j <= i; ++j) attend_key(row_key + j * kHeadDim, row_value + j * kHeadDim);
    for (int64_t j = 0; j < std::min(i, kAboveKeys); ++j)
      attend_key(above_key + j * kHeadDim, above_value + j * kHeadDim);
    total += weighted / sum;
  }
  return total;
}

void append(const PaddedMatrix<float>& from, std::vector<double>& to) {
  for (int64_t i = 0; i < from.view().rows; ++i)
    for (int64_t d = 0; d < from.view().columns; ++d) to.push_back(from(i, d));
}

TEST_CASE("attend_backward of merged parts agrees with finite differences") {
  constexpr double kStep = 1e-6;
  for_each_instruction_set([] {
    Scratch scratch;
    Random random(2);
    const AttentionCase<float> row(kQueries, kRowKeys, kHeadDim, Visible::causal(), random);
    AttentionCase<float> above(kQueries, kAboveKeys, kHeadDim, Visible::strict(), random);
    above.query = row.query;
    const PaddedMatrix<float> d_out(kQueries, kHeadDim, random);

    AttendResult<float> result(kQueries, kHeadDim);
    attend(row.tile(), result.output(), Merge::replace, scratch);
    attend(above.tile(), result.output(), Merge::merge, scratch);
    OutputGradient output{d_out, result.lse, PaddedMatrix<float>(kQueries, 1)};
    head_products<float>(d_out.view(), result.out.view(), kHeadDim, output.delta.view());
    PaddedMatrix<float> d_query(kQueries, kHeadDim), d_row_key(kRowKeys, kHeadDim),
        d_row_value(kRowKeys, kHeadDim), d_above_key(kAboveKeys, kHeadDim),
        d_above_value(kAboveKeys, kHeadDim);
    const auto backward = [&](const AttentionCase<float>& part, PaddedMatrix<float>& d_key,
                              PaddedMatrix<float>& d_value) {
      attend_backward(part.tile(), output.places(),
                      {d_query.view().data, d_query.view().stride, d_key.view().data,
                       d_key.view().stride, d_value.view().data, d_value.view().stride},
                      scratch);
    };
    backward(row, d_row_key, d_row_value);
    backward(above, d_above_key, d_above_value);

    std::vector<double> x, gradient;
    for (const auto& part : {row.query, row.key, row.value, above.key, above.value})
      append(part, x);
    for (const auto& part : {d_query, d_row_key, d_row_value, d_above_key, d_above_value})
      append(part, gradient);
    double error = 0, norm = 0;
    for (size_t k = 0; k < x.size(); ++k) {
      std::vector<double> above_x = x, below_x = x;
      above_x[k] += kStep;
      below_x[k] -= kStep;
      const double expected = (objective(above_x, d_out) - objective(below_x, d_out)) / (2 * kStep);
      error += (gradient[k] - expected) * (gradient[k] - expected);
      norm += expected * expected;
    }
    // Logits, softmax, merge, delta and two sums: about ten roundings of sums of at most 22 terms.
    CHECK(std::sqrt(error / norm) < 10 * std::sqrt(22.0) * kFloatUnit);
  });
}

}  // namespace
}  // namespace combiner
