// Tests the exponentials of simd-inl.h under every instruction set.
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/exp_test.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/portable/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {

// Computes in place. The size must be a multiple of the vector width.
void Exp(std::vector<float>& x) {
  const hn::ScalableTag<float> d;
  for (size_t i = 0; i < x.size(); i += hn::Lanes(d))
    hn::StoreU(FastExp(d, hn::LoadU(d, x.data() + i)), d, x.data() + i);
}
void ExpCoarse(std::vector<float>& x) {
  const hn::ScalableTag<float> d;
  for (size_t i = 0; i < x.size(); i += hn::Lanes(d))
    hn::StoreU(FastExpCoarse(d, hn::LoadU(d, x.data() + i)), d, x.data() + i);
}
// The error allowed to FastExp, in units in the last place.
double ExpUnits() { return HWY_NATIVE_FMA ? 2.0 : 2.25; }

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include "catch.h"
#include "instruction_sets.h"
#include "worse.h"

namespace combiner {
namespace {

HWY_EXPORT(Exp);
HWY_EXPORT(ExpCoarse);
HWY_EXPORT(ExpUnits);

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Small steps from -87.3 to 88, and smaller ones around zero.
std::vector<float> arguments() {
  std::vector<float> x;
  for (int i = -873000; i <= 880000; ++i) x.push_back(static_cast<float>(i) * 1e-4f);
  for (int i = -4000; i <= 4000; ++i) x.push_back(static_cast<float>(i) * 1e-7f);
  x.resize(x.size() / 64 * 64);
  return x;
}

// The largest errors: relative to e^x, and in units in its last place.
struct Worst {
  double relative = 0, units = 0;
};
Worst worst_error(const std::vector<float>& x, const std::vector<float>& actual) {
  Worst worst;
  for (size_t i = 0; i < x.size(); ++i) {
    const double expected = std::exp(static_cast<double>(x[i]));
    const double error = std::abs(actual[i] - expected);
    worst.relative = worse(worst.relative, error / expected);
    worst.units = worse(worst.units, std::ldexp(error, 23 - std::ilogb(expected)));
  }
  return worst;
}

// Applies `exp` to -infinity, -1e30, -88, infinity and 1e30, followed by zeros.
std::vector<float> at_ends(void (*exp)(std::vector<float>&)) {
  std::vector<float> x(64, 0.0f);
  x[0] = -kInfinity;
  x[1] = -1e30f;
  x[2] = -88.0f;
  x[3] = kInfinity;
  x[4] = 1e30f;
  exp(x);
  CHECK(x[0] == 0.0f);
  CHECK(x[1] == 0.0f);
  CHECK(x[3] == x[4]);
  CHECK(x[3] > 2e38f);
  return x;
}

TEST_CASE("FastExp is accurate to two units in the last place") {
  const std::vector<float> x = arguments();
  for_each_instruction_set([&] {
    std::vector<float> y = x;
    HWY_DYNAMIC_DISPATCH(Exp)(y);
    CHECK(worst_error(x, y).units <= HWY_DYNAMIC_DISPATCH(ExpUnits)());
    const std::vector<float> ends = at_ends([](std::vector<float>& v) {
      HWY_DYNAMIC_DISPATCH(Exp)
      (v);
    });
    CHECK(ends[2] == 0.0f);
    CHECK(std::isfinite(ends[3]));
    std::vector<float> none(16, std::numeric_limits<float>::quiet_NaN());
    HWY_DYNAMIC_DISPATCH(Exp)(none);
    for (const float e : none) CHECK(std::isnan(e));
  });
}

TEST_CASE("FastExpCoarse is accurate to 2^-13") {
  const std::vector<float> x = arguments();
  for_each_instruction_set([&] {
    std::vector<float> y = x;
    HWY_DYNAMIC_DISPATCH(ExpCoarse)(y);
    CHECK(worst_error(x, y).relative <= 0x1p-13);
    const std::vector<float> ends = at_ends([](std::vector<float>& v) {
      HWY_DYNAMIC_DISPATCH(ExpCoarse)
      (v);
    });
    // e^-88 is below all normal floats.
    CHECK(ends[2] < std::numeric_limits<float>::min());
  });
}

}  // namespace
}  // namespace combiner
#endif  // HWY_ONCE
