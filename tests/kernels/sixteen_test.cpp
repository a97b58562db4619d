// Tests the sums of sixteen-inl.h against plain loops under every instruction set.
#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/sixteen_test.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/portable/sixteen-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {

float Sum(const std::vector<float>& values) {
  return SumOf(values.data(), static_cast<int64_t>(values.size()));
}

// The dot products of x with each row of y, and with y[0] once more.
std::array<float, 5> Products(const std::vector<float>& x,
                              const std::array<std::vector<float>, 4>& y) {
  Sixteen sum[4];
  ForEachVectorOf16(static_cast<int64_t>(x.size()), [&](auto lanes, int64_t j,
                                                        int v) COMBINER_VISITOR {
    for (size_t i = 0; i < 4; ++i)
      sum[i].v[v] = hn::MulAdd(lanes.Load(x.data() + j), lanes.Load(y[i].data() + j), sum[i].v[v]);
  });
  std::array<float, 5> products;
  StoreSumsOf16(sum, products.data());
  products[4] = SumOf16(sum[0]);
  return products;
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "catch.h"
#include "instruction_sets.h"
#include "random.h"

namespace combiner {
namespace {

HWY_EXPORT(Sum);
HWY_EXPORT(Products);

constexpr size_t kSizes[] = {0, 1, 3, 4, 7, 8, 15, 16, 17, 23, 24, 31, 33, 40, 100, 1000};

// Calls add(j, lane) for each element, then adds up the lanes.
template <class Add>
float plain_sum(size_t size, const Add& add) {
  std::array<float, 16> lane = {};
  for (size_t j = 0; j < size; ++j) add(j, lane[j % 16]);
  for (const size_t step : {8, 4, 2, 1})
    for (size_t i = 0; i < step; ++i) lane[i] += lane[i + step];
  return lane[0];
}

TEST_CASE("Sums over sixteen lanes are in the stated order") {
  for_each_instruction_set([] {
    Random random(1);
    for (const size_t size : kSizes) {
      INFO(size);
      const std::vector<float> x = random.normals(size);
      CHECK(HWY_DYNAMIC_DISPATCH(Sum)(x) ==
            plain_sum(size, [&](size_t j, float& lane) { lane += x[j]; }));
    }
  });
}

TEST_CASE("Dot products over sixteen lanes are in the stated order, with fused multiply-adds") {
  for_each_instruction_set([] {
    if (!fuses_multiply_add()) return;
    Random random(2);
    for (const size_t size : kSizes) {
      INFO(size);
      const std::vector<float> x = random.normals(size);
      const std::array<std::vector<float>, 4> y = {random.normals(size), random.normals(size),
                                                   random.normals(size), random.normals(size)};
      const std::array<float, 5> products = HWY_DYNAMIC_DISPATCH(Products)(x, y);
      for (size_t i = 0; i < 5; ++i) {
        const std::vector<float>& row = y[i % 4];
        CHECK(products[i] ==
              plain_sum(size, [&](size_t j, float& lane) { lane = std::fma(x[j], row[j], lane); }));
      }
    }
  });
}

}  // namespace
}  // namespace combiner
#endif  // HWY_ONCE
