#include "kernels/cross_entropy.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "catch.h"
#include "error_bounds.h"
#include "instruction_sets.h"
#include "padded_matrix.h"

namespace combiner {
namespace {

constexpr int64_t kSizes[] = {1, 3, 7, 17, 33, 255, 256};

struct Softmax {
  std::vector<double> probabilities;
  double maximum = 0, nats = 0;
  // The mean distance of the logits from their maximum, weighted by the softmax.
  double spread = 0;
};

Softmax softmax_of(const PaddedMatrix<float>& logits, int64_t row, int64_t columns,
                   uint8_t target) {
  Softmax s;
  s.maximum = logits(row, 0);
  for (int64_t j = 0; j < columns; ++j) s.maximum = std::max(s.maximum, logits(row, j));
  double sum = 0;
  for (int64_t j = 0; j < columns; ++j) {
    s.probabilities.push_back(std::exp(logits(row, j) - s.maximum));
    sum += s.probabilities.back();
  }
  for (int64_t j = 0; j < columns; ++j) {
    double& p = s.probabilities[static_cast<size_t>(j)];
    p /= sum;
    s.spread += p * (s.maximum - logits(row, j));
  }
  s.nats = std::log(sum) + (s.maximum - logits(row, target));
  return s;
}

template <class T>
void check(int64_t rows, int64_t columns, double deviation) {
  constexpr float kScale = 0.37f;
  Random random(1);
  const PaddedMatrix<float> logits(rows, columns, random, deviation);
  const std::vector<uint8_t> targets =
      random.bytes(static_cast<size_t>(rows), static_cast<size_t>(columns));
  std::vector<float> nats(targets.size()), gradient_nats(targets.size());
  PaddedMatrix<T> d_logits(rows, columns);
  cross_entropy(logits.view(), targets.data(), nats.data());
  cross_entropy_gradient<T>(logits.view(), targets.data(), kScale, gradient_nats.data(),
                            d_logits.view());
  CHECK(nats == gradient_nats);

  ErrorBounds bounds;
  const auto n = static_cast<double>(columns);
  for (int64_t i = 0; i < rows; ++i) {
    const auto row = static_cast<size_t>(i);
    const Softmax s = softmax_of(logits, i, columns, targets[row]);
    const double distance = s.maximum - logits(i, targets[row]);
    // An exponential is off by 4 u and by the rounding of its argument, the distance from the
    // maximum; the sum adds n u. A logarithm turns a relative error into an absolute one.
    const double sum_error = (n + 5 + s.spread) * kFloatUnit;
    bounds.add(nats[row], s.nats,
               sum_error + kFloatUnit * (2 * (s.nats - distance) + distance + s.nats));
    for (int64_t j = 0; j < columns; ++j) {
      const bool is_target = j == targets[row];
      const double p = s.probabilities[static_cast<size_t>(j)];
      const double expected = kScale * (p - (is_target ? 1.0 : 0.0));
      const double p_error = p * (sum_error + (6 + s.maximum - logits(i, j)) * kFloatUnit);
      // At the target the kernel subtracts the sum itself, with the error that the sum has.
      const double error = kScale * (p_error + (is_target ? sum_error + 3 * kFloatUnit : 0.0));
      // Exponentials below the smallest float become zero.
      bounds.add(d_logits(i, j), expected,
                 error + storing_error<T>(std::abs(expected) + error) + 0x1p-125);
    }
  }
  INFO(rows << " x " << columns << " logits of " << deviation);
  CHECK(bounds.worst() <= 1.0);
  CHECK(d_logits.gaps_kept());
}

TEST_CASE("cross_entropy and its gradient agree with plain loops") {
  for_each_instruction_set([] {
    for (const int64_t columns : kSizes)
      for (const int64_t rows : {1, 5})
        for (const double deviation : {1.0, 30.0, 1e4}) {
          check<float>(rows, columns, deviation);
          check<bfloat16>(rows, columns, deviation);
        }
  });
}

TEST_CASE("cross_entropy of huge logits does not overflow") {
  for_each_instruction_set([] {
    std::vector<float> logits(19, -1e30f);
    logits[4] = 1e30f;
    float nats = 0;
    const uint8_t sure = 4, impossible = 5;
    std::vector<float> d_logits(19);
    const Matrix<const float> row(logits.data(), 1, 19);
    cross_entropy_gradient<float>(row, &sure, 1.0f, &nats, {d_logits.data(), 1, 19});
    CHECK(nats == 0.0f);
    CHECK(d_logits == std::vector<float>(19, 0.0f));
    cross_entropy(row, &impossible, &nats);
    CHECK(nats == 2e30f);
  });
}

TEST_CASE("cross_entropy of a logit that is no number is none") {
  for (const size_t bad : {0, 100, 255}) {
    INFO(bad);
    std::vector<float> logits(256, 1.0f);
    logits[bad] = std::numeric_limits<float>::quiet_NaN();
    for_each_instruction_set([&] {
      float nats = 0;
      const uint8_t target = 7;
      cross_entropy({logits.data(), 1, 256}, &target, &nats);
      CHECK(std::isnan(nats));
    });
  }
}

TEST_CASE("softmax_weights have the same bits on every instruction set with fused multiply-add") {
  for (const size_t size : {1, 3, 15, 16, 17, 40, 100, 256}) {
    INFO(size);
    check_same_bits([&] {
      Random random(5);
      const std::vector<float> logits = random.normals(size, 3.0);
      const LogitRange range = logit_range(logits);
      std::vector<float> weights(size);
      softmax_weights(logits, range.maximum, 0.7f, weights);
      weights.push_back(range.maximum);
      return weights;
    });
  }
}

TEST_CASE("The gradient of cross_entropy agrees with finite differences") {
  constexpr int64_t kColumns = 17;
  constexpr double kStep = 1e-5;
  Random random(2);
  const PaddedMatrix<float> logits(1, kColumns, random);
  const uint8_t target = 11;
  float nats = 0;
  std::vector<float> d_logits(kColumns);
  cross_entropy_gradient<float>(logits.view(), &target, 1.0f, &nats,
                                {d_logits.data(), 1, kColumns});
  const auto nats_at = [&](int64_t moved, double step) {
    double sum = 0;
    const auto at = [&](int64_t j) { return logits(0, j) + (j == moved ? step : 0.0); };
    for (int64_t j = 0; j < kColumns; ++j) sum += std::exp(at(j));
    return std::log(sum) - at(target);
  };
  ErrorBounds bounds;
  for (int64_t j = 0; j < kColumns; ++j)
    // The step's square, plus the error of a softmax as above.
    bounds.add(d_logits[static_cast<size_t>(j)],
               (nats_at(j, kStep) - nats_at(j, -kStep)) / (2 * kStep),
               kStep * kStep + (kColumns + 10) * kFloatUnit);
  CHECK(bounds.worst() <= 1.0);
}

}  // namespace
}  // namespace combiner
