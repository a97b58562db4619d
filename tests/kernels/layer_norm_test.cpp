#include "kernels/layer_norm.h"

#include <cmath>

#include "catch.h"
#include "error_bounds.h"
#include "instruction_sets.h"
#include "padded_matrix.h"

namespace combiner {
namespace {

constexpr int64_t kSizes[] = {1, 3, 7, 8, 17, 33, 128};
constexpr double kEpsilon = 1e-6f;  // as passed to the kernel

struct Moments {
  double mean = 0, inverse_deviation = 0, mean_magnitude = 0;
};

Moments moments_of(const PaddedMatrix<float>& x, int64_t row, int64_t columns) {
  Moments m;
  const auto count = static_cast<double>(columns);
  double variance = 0;
  for (int64_t j = 0; j < columns; ++j) {
    m.mean += x(row, j) / count;
    m.mean_magnitude += std::abs(x(row, j)) / count;
  }
  for (int64_t j = 0; j < columns; ++j)
    variance += (x(row, j) - m.mean) * (x(row, j) - m.mean) / count;
  m.inverse_deviation = 1.0 / std::sqrt(variance + kEpsilon);
  return m;
}

template <class T>
void check_forward(int64_t rows, int64_t columns, double offset, double deviation) {
  Random random(1);
  PaddedMatrix<float> x(rows, columns, random, deviation);
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) x.at(i, j) += static_cast<float>(offset);
  const std::vector<float> weight = random.normals(static_cast<size_t>(columns));
  const std::vector<float> bias = random.normals(static_cast<size_t>(columns));
  PaddedMatrix<T> y(rows, columns);
  std::vector<RowMoments> moments(static_cast<size_t>(rows));
  layer_norm<T>(x.view(), weight.data(), bias.data(), static_cast<float>(kEpsilon), y.view(),
                moments.data());

  ErrorBounds bounds;
  const auto n = static_cast<double>(columns);
  for (int64_t i = 0; i < rows; ++i) {
    const Moments m = moments_of(x, i, columns);
    // The mean is a sum of n terms and a division. Its error e shifts every centred value by e and
    // adds e^2 to the variance. The variance is also a sum of n squares, each off by 3 u; the
    // square root halves the relative error.
    const double mean_error = (n + 1) * kFloatUnit * m.mean_magnitude;
    const double square = mean_error * m.inverse_deviation * mean_error * m.inverse_deviation;
    const double deviation_error = (n + 8) * kFloatUnit + square;
    const RowMoments& actual = moments[static_cast<size_t>(i)];
    bounds.add(actual.mean, m.mean, mean_error);
    bounds.add(actual.inverse_deviation, m.inverse_deviation,
               deviation_error * m.inverse_deviation);
    for (int64_t j = 0; j < columns; ++j) {
      const double w = weight[static_cast<size_t>(j)];
      const double b = bias[static_cast<size_t>(j)];
      const double normal = (x(i, j) - m.mean) * m.inverse_deviation;
      const double expected = normal * w + b;
      const double error = std::abs(w) * (m.inverse_deviation * mean_error * (1 + deviation_error) +
                                          std::abs(normal) * (deviation_error + 4 * kFloatUnit)) +
                           kFloatUnit * (std::abs(b) + std::abs(expected));
      bounds.add(y(i, j), expected, error + storing_error<T>(std::abs(expected) + error));
    }
  }
  INFO(rows << " x " << columns << " about " << offset << " +- " << deviation);
  CHECK(bounds.worst() <= 1.0);
  CHECK(y.gaps_kept());
}

TEST_CASE("layer_norm agrees with a plain loop") {
  for_each_instruction_set([] {
    for (const int64_t columns : kSizes)
      for (const int64_t rows : {1, 5}) {
        check_forward<float>(rows, columns, 0.0, 1.0);
        check_forward<bfloat16>(rows, columns, 0.0, 1.0);
        // Far from zero, computing the variance as a difference of two large sums would lose it.
        check_forward<float>(rows, columns, 1000.0, 1.0);
        check_forward<float>(rows, columns, -0.01, 1e-6);
        check_forward<float>(rows, columns, 0.0, 1e6);
      }
  });
}

TEST_CASE("layer_norm has the same bits on every instruction set with fused multiply-add") {
  for (const int64_t columns : {1, 3, 8, 15, 16, 17, 31, 40, 100, 256})
    for (const int64_t rows : {1, 5}) {
      INFO(rows << " x " << columns);
      check_same_bits([&] {
        Random random(1);
        const PaddedMatrix<float> x(rows, columns, random);
        const std::vector<float> weight = random.normals(static_cast<size_t>(columns));
        const std::vector<float> bias = random.normals(static_cast<size_t>(columns));
        PaddedMatrix<float> y(rows, columns);
        std::vector<RowMoments> moments(static_cast<size_t>(rows));
        layer_norm<float>(x.view(), weight.data(), bias.data(), 1e-6f, y.view(), moments.data());
        std::vector<float> results = y.elements();
        for (const RowMoments& m : moments) {
          results.push_back(m.mean);
          results.push_back(m.inverse_deviation);
        }
        return results;
      });
    }
}

TEST_CASE("layer_norm of equal values is the bias, and works in place") {
  for_each_instruction_set([] {
    for (const int64_t columns : kSizes) {
      const auto size = static_cast<size_t>(columns);
      Random random(2);
      const std::vector<float> weight = random.normals(size), bias = random.normals(size);
      // Zeros, so that the mean is exact.
      std::vector<float> x(size, 0.0f);
      layer_norm<float>({x.data(), 1, columns}, weight.data(), bias.data(), 1e-6f,
                        {x.data(), 1, columns});
      CHECK(x == bias);

      const std::vector<float> values = random.normals(size);
      std::vector<float> apart(size), in_place = values;
      layer_norm<float>({values.data(), 1, columns}, weight.data(), bias.data(), 1e-6f,
                        {apart.data(), 1, columns});
      layer_norm<float>({in_place.data(), 1, columns}, weight.data(), bias.data(), 1e-6f,
                        {in_place.data(), 1, columns});
      CHECK(in_place == apart);
    }
  });
}

TEST_CASE("layer_norm_backward agrees with a plain loop") {
  for_each_instruction_set([] {
    for (const int64_t columns : kSizes)
      for (const int64_t rows : {1, 5}) {
        Random random(3);
        const auto size = static_cast<size_t>(columns);
        const PaddedMatrix<float> x(rows, columns, random), d_y(rows, columns, random);
        const std::vector<float> weight = random.normals(size);
        std::vector<RowMoments> moments(static_cast<size_t>(rows));
        PaddedMatrix<float> y(rows, columns);
        layer_norm<float>(x.view(), weight.data(), weight.data(), 1e-6f, y.view(), moments.data());

        // The gradients are added to existing values.
        const PaddedMatrix<float> d_x_before(rows, columns, random);
        PaddedMatrix<float> d_x = d_x_before;
        const std::vector<float> d_weight_before = random.normals(size);
        const std::vector<float> d_bias_before = random.normals(size);
        std::vector<float> d_weight = d_weight_before, d_bias = d_bias_before;
        layer_norm_backward(x.view(), moments.data(), weight.data(), d_y.view(), d_x.view(),
                            d_weight.data(), d_bias.data());

        ErrorBounds bounds;
        const auto n = static_cast<double>(columns);
        std::vector<double> weight_sum(d_weight_before.begin(), d_weight_before.end());
        std::vector<double> bias_sum(d_bias_before.begin(), d_bias_before.end());
        std::vector<double> weight_magnitude, bias_magnitude;
        for (const double v : weight_sum) weight_magnitude.push_back(std::abs(v));
        for (const double v : bias_sum) bias_magnitude.push_back(std::abs(v));
        for (int64_t i = 0; i < rows; ++i) {
          const double mean = moments[static_cast<size_t>(i)].mean;
          const double scale = moments[static_cast<size_t>(i)].inverse_deviation;
          const auto normal = [&](int64_t j) { return (x(i, j) - mean) * scale; };
          const auto g = [&](int64_t j) { return d_y(i, j) * weight[static_cast<size_t>(j)]; };
          double mean_g = 0, mean_gn = 0, mean_g_magnitude = 0, mean_gn_magnitude = 0;
          for (int64_t j = 0; j < columns; ++j) {
            mean_g += g(j) / n;
            mean_gn += g(j) * normal(j) / n;
            mean_g_magnitude += std::abs(g(j)) / n;
            mean_gn_magnitude += std::abs(g(j) * normal(j)) / n;
            const auto column = static_cast<size_t>(j);
            weight_sum[column] += d_y(i, j) * normal(j);
            weight_magnitude[column] += std::abs(d_y(i, j) * normal(j));
            bias_sum[column] += d_y(i, j);
            bias_magnitude[column] += std::abs(d_y(i, j));
          }
          for (int64_t j = 0; j < columns; ++j) {
            const double added = (g(j) - mean_g - normal(j) * mean_gn) * scale;
            // A sum of n products of three factors, and seven operations on the result.
            const double magnitude = scale * (std::abs(g(j)) + mean_g_magnitude +
                                              std::abs(normal(j)) * mean_gn_magnitude);
            const double expected = d_x_before(i, j) + added;
            bounds.add(d_x(i, j), expected,
                       (n + 10) * kFloatUnit * magnitude + kFloatUnit * std::abs(expected));
          }
        }
        for (size_t j = 0; j < size; ++j) {
          // Products of three factors, one of them a difference, summed over the rows.
          const double units = static_cast<double>(rows + 3) * kFloatUnit;
          bounds.add(d_weight[j], weight_sum[j], units * weight_magnitude[j]);
          bounds.add(d_bias[j], bias_sum[j], units * bias_magnitude[j]);
        }
        INFO(rows << " x " << columns);
        CHECK(bounds.worst() <= 1.0);
        CHECK(d_x.gaps_kept());
      }
  });
}

// The gradient of a function of one row by layer_norm_backward, against finite differences.
TEST_CASE("layer_norm_backward agrees with finite differences") {
  constexpr int64_t kColumns = 7;
  constexpr double kStep = 1e-6;
  Random random(4);
  const std::vector<float> x = random.normals(kColumns), weight = random.normals(kColumns);
  const std::vector<float> d_y = random.normals(kColumns), bias(kColumns, 0.0f);
  RowMoments moments;
  std::vector<float> y(kColumns), d_x(kColumns), d_weight(kColumns), d_bias(kColumns);
  layer_norm<float>({x.data(), 1, kColumns}, weight.data(), bias.data(), 1e-6f,
                    {y.data(), 1, kColumns}, &moments);
  layer_norm_backward({x.data(), 1, kColumns}, &moments, weight.data(), {d_y.data(), 1, kColumns},
                      {d_x.data(), 1, kColumns}, d_weight.data(), d_bias.data());

  const auto value = [&](const std::vector<double>& at) {
    double mean = 0, variance = 0, sum = 0;
    for (const double v : at) mean += v / kColumns;
    for (const double v : at) variance += (v - mean) * (v - mean) / kColumns;
    for (size_t j = 0; j < at.size(); ++j)
      sum += (at[j] - mean) / std::sqrt(variance + kEpsilon) * weight[j] * d_y[j];
    return sum;
  };
  double error = 0, norm = 0;
  for (size_t j = 0; j < x.size(); ++j) {
    std::vector<double> above(x.begin(), x.end()), below = above;
    above[j] += kStep;
    below[j] -= kStep;
    const double expected = (value(above) - value(below)) / (2 * kStep);
    error += (d_x[j] - expected) * (d_x[j] - expected);
    norm += expected * expected;
  }
  // About twenty roundings (see above). The finite differences themselves are off by 1e-9.
  CHECK(std::sqrt(error / norm) < 20 * kFloatUnit);
}

}  // namespace
}  // namespace combiner
