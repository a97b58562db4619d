#include "kernels/descent.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "catch.h"
#include "error_bounds.h"
#include "instruction_sets.h"
#include "padded_matrix.h"

namespace combiner {
namespace {

// Less than a vector, and vectors with a rest. Sums of squares are made of runs of 1024.
constexpr size_t kSizes[] = {1, 3, 7, 17, 1023, 1025, 2055};
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

TEST_CASE("descent: Adam's moments and step are those of its formulas") {
  // As in the third step. Epsilon is large, so that it counts. 1 - beta is exact in float.
  constexpr AdamSettings kSettings{0.9f, 0.99f, 0.01f, 3.69f, 33.67f};
  constexpr double kBeta1 = kSettings.beta1, kBeta2 = kSettings.beta2;
  constexpr float kScale = 0.37f;
  for_each_instruction_set([&] {
    Random random(1);
    for (const size_t size : kSizes) {
      const std::vector<float> gradient = random.normals(size), old1 = random.normals(size);
      std::vector<float> old2 = random.normals(size);
      for (float& value : old2) value *= value;
      std::vector<float> moment1 = old1, moment2 = old2, direction(size, kNaN);
      adam_direction(gradient, kScale, kSettings, moment1, moment2, direction);
      std::vector<float> in_place = gradient, again1 = old1, again2 = old2;
      adam_direction(in_place, kScale, kSettings, again1, again2, in_place);

      ErrorBounds moments1, moments2, directions;
      for (size_t i = 0; i < size; ++i) {
        const double g = double{kScale} * gradient[i];
        const double m = kBeta1 * old1[i] + (1 - kBeta1) * g;
        const double v = kBeta2 * old2[i] + (1 - kBeta2) * g * g;
        const double magnitude = std::abs(kBeta1 * old1[i]) + std::abs((1 - kBeta1) * g);
        // The scaled gradient, its product with 1 - beta and the sum are rounded. The second moment
        // has the scaled gradient twice, and its square. One unit more is for errors of errors.
        moments1.add(moment1[i], m, 4 * kFloatUnit * magnitude);
        moments2.add(moment2[i], v, 6 * kFloatUnit * v);
        // Without that one: three units of m and its product; half of the five of v and of its
        // product, with the root and the sum; the quotient.
        const double denominator = std::sqrt(v * kSettings.correction2) + kSettings.epsilon;
        const double scale = kSettings.correction1 / denominator;
        for (const float value : {direction[i], in_place[i]})
          directions.add(value, m * scale, 11 * kFloatUnit * magnitude * scale);
      }
      INFO(size);
      CHECK(moments1.worst() <= 1);
      CHECK(moments2.worst() <= 1);
      CHECK(directions.worst() <= 1);
    }
  });
}

TEST_CASE("descent: a descent and a blend are those of their formulas") {
  for_each_instruction_set([] {
    Random random(2);
    for (const size_t size : kSizes) {
      const std::vector<float> from = random.normals(size), before = random.normals(size);
      INFO(size);
      // In both, a factor that is computed, a product and a sum are rounded; the fourth unit is for
      // the errors' products.
      for (const float decay : {0.0f, 0.1f}) {
        constexpr float kRate = 0.03f;
        std::vector<float> values = before;
        descend(from, kRate, decay, values);
        ErrorBounds bounds;
        for (size_t i = 0; i < size; ++i) {
          const double step = double{kRate} * from[i];
          const double kept = (1 - double{kRate} * decay) * before[i];
          bounds.add(values[i], kept - step, 4 * kFloatUnit * (std::abs(kept) + std::abs(step)));
        }
        CHECK(bounds.worst() <= 1);
      }
      for (const float weight : {0.09f, 0.999f}) {
        std::vector<float> values = before;
        blend(from, weight, values);
        ErrorBounds bounds;
        for (size_t i = 0; i < size; ++i) {
          const double kept = double{weight} * before[i], added = (1 - double{weight}) * from[i];
          bounds.add(values[i], kept + added, 4 * kFloatUnit * (std::abs(kept) + std::abs(added)));
        }
        CHECK(bounds.worst() <= 1);
      }
    }
  });
}

template <class T>
void check_weighted_sum(float b) {
  constexpr float kA = 1.7f;
  Random random(3);
  for (const size_t size : kSizes) {
    std::vector<T> x(size);
    for (T& value : x) value = from_double<T>(random.normal());
    const std::vector<float> y = random.normals(size);
    std::vector<T> out(size, from_double<T>(kNaN)), over_x = x;
    weighted_sum(kA, x, b, y, out);
    weighted_sum(kA, over_x, b, y, over_x);
    std::vector<T> over_y = out;
    if constexpr (std::is_same_v<T, float>) {
      over_y = y;
      weighted_sum(kA, x, b, over_y, over_y);
    }
    ErrorBounds bounds;
    for (size_t i = 0; i < size; ++i) {
      const double ax = double{kA} * to_float(x[i]), by = double{b} * y[i];
      const double error = 3 * kFloatUnit * (std::abs(ax) + std::abs(by));  // two products
      for (const T value : {out[i], over_x[i], over_y[i]})
        bounds.add(to_float(value), ax + by, error + storing_error<T>(std::abs(ax + by) + error));
    }
    INFO(size << ", b = " << b);
    CHECK(bounds.worst() <= 1);
  }
}

TEST_CASE("descent: a weighted sum, also over one of its terms") {
  for_each_instruction_set([] {
    for (const float b : {-0.6f, 0.0f}) {  // zero has a loop of its own
      check_weighted_sum<float>(b);
      check_weighted_sum<bfloat16>(b);
    }
  });
}

TEST_CASE("descent: a sum of squares has every value once and nothing beyond them") {
  for_each_instruction_set([] {
    Random random(4);
    for (const size_t size : kSizes) {
      // The sums of these whole numbers are below 2^24, so exact in any order.
      std::vector<float> values(size + 2, 1e10f);
      double expected = 0;
      for (size_t i = 1; i <= size; ++i) {
        values[i] = static_cast<float>(1 + random.below(80)) * (i % 2 == 0 ? 1.0f : -1.0f);
        expected += double{values[i]} * values[i];
      }
      INFO(size);
      CHECK(sum_of_squares({values.data() + 1, size}) == expected);

      const std::vector<float> normals = random.normals(size);
      double sum = 0;
      for (const float value : normals) sum += double{value} * value;
      const auto run = static_cast<double>(std::min<size_t>(size, 1024));
      CHECK(std::abs(sum_of_squares(normals) - sum) <= (run + 1) * kFloatUnit * sum);
    }
    CHECK(sum_of_squares({}) == 0.0);
  });
}

TEST_CASE("descent: runs of squares are added up in double") {
  for_each_instruction_set([] {
    // 2^24 of the first run; of the second, an odd number more, which a float can't hold.
    std::vector<float> values(2048, 1.0f);
    std::fill_n(values.begin(), 1024, 128.0f);
    values[1024] = 2.0f;
    CHECK(sum_of_squares(values) == 0x1p24 + 4 + 1023);
  });
}

}  // namespace
}  // namespace combiner
