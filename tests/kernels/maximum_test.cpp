#include "kernels/maximum.h"

#include <algorithm>
#include <vector>

#include "catch.h"
#include "instruction_sets.h"
#include "random.h"

namespace combiner {
namespace {

constexpr size_t kSizes[] = {1, 3, 7, 8, 17, 33, 64};

template <class T>
T value_of(float x);
template <>
float value_of(float x) {
  return x;
}
template <>
bfloat16 value_of(float x) {
  return to_bfloat16(x);
}

// Few different values, so that there are ties.
template <class T>
std::vector<T> draw(size_t count, Random& random) {
  std::vector<T> values;
  for (size_t i = 0; i < count; ++i)
    values.push_back(value_of<T>(static_cast<float>(random.below(5)) - 2.0f));
  return values;
}

TEMPLATE_TEST_CASE("maximum is the greater of each pair", "", float, bfloat16) {
  for_each_instruction_set([] {
    Random random(1);
    for (const size_t size : kSizes) {
      const std::vector<TestType> a = draw<TestType>(size, random);
      std::vector<TestType> b = draw<TestType>(size, random);
      std::vector<TestType> out(size + 1, value_of<TestType>(99.0f));
      maximum(a.data(), b.data(), static_cast<int64_t>(size), out.data());
      bool right = to_float(out[size]) == 99.0f;
      for (size_t i = 0; i < size; ++i)
        right = right && to_float(out[i]) == std::max(to_float(a[i]), to_float(b[i]));
      // In place.
      maximum(a.data(), b.data(), static_cast<int64_t>(size), b.data());
      for (size_t i = 0; i < size; ++i) right = right && to_float(out[i]) == to_float(b[i]);
      INFO(size);
      CHECK(right);
    }
  });
}

TEST_CASE("maximum has the same bits on every instruction set with fused multiply-add") {
  for (const size_t size : {1, 3, 15, 16, 17, 40, 100}) {
    INFO(size);
    check_same_bits([&] {
      Random random(3);
      std::vector<float> a = draw<float>(size, random), b = draw<float>(size, random);
      for (size_t i = 0; i < size; i += 2) b[i] *= -1.0f;  // makes zeros of both signs
      maximum(a.data(), b.data(), static_cast<int64_t>(size), a.data());
      return a;
    });
  }
}

TEMPLATE_TEST_CASE("a maximum's gradient goes to the first of equal elements that asks for it", "",
                   float, bfloat16) {
  for_each_instruction_set([] {
    Random random(2);
    for (const size_t size : kSizes) {
      const auto count = static_cast<int64_t>(size);
      const std::vector<TestType> x[2] = {draw<TestType>(size, random),
                                          draw<TestType>(size, random)};
      std::vector<TestType> most(size);
      maximum(x[0].data(), x[1].data(), count, most.data());
      const std::vector<float> gradient = random.normals(size);
      const std::vector<float> before = random.normals(size);
      std::vector<float> rest = gradient;
      std::vector<float> d_x[2] = {before, before};
      for (const size_t i : {0, 1})
        maximum_backward(x[i].data(), most.data(), count, rest.data(), d_x[i].data());
      bool right = true;
      for (size_t i = 0; i < size; ++i) {
        const size_t taker = to_float(x[0][i]) >= to_float(x[1][i]) ? 0 : 1;
        right = right && rest[i] == 0.0f && d_x[taker][i] == before[i] + gradient[i] &&
                d_x[1 - taker][i] == before[i];
      }
      INFO(size);
      CHECK(right);
    }
  });
}

}  // namespace
}  // namespace combiner
