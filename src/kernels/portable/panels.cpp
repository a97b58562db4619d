#include "kernels/panels.h"

#include "kernels/portable/portable.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/portable/panels.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/portable/panels-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

struct FloatStep : FloatSums {
  using Weight = float;
  using Input = float;
  static constexpr int64_t kDepths = 1;
  static constexpr int kMaxRows = max_rows(1);
  static HWY_INLINE FloatVector Weights(const float* from) { return hn::Load(FloatTag(), from); }
  static HWY_INLINE FloatVector Inputs(const float* x) { return hn::Set(FloatTag(), *x); }
  static HWY_INLINE Sum Add(FloatVector inputs, FloatVector weights, Sum sum) {
    return hn::MulAdd(inputs, weights, sum);
  }
};

// Weights of bfloat16, multiplied as floats.
struct Bfloat16Step : FloatSums {
  using Weight = bfloat16;
  using Input = float;
  static constexpr int64_t kDepths = 2;
  static constexpr int kMaxRows = max_rows(2);
  struct Pair {
    // An implicit constructor would lack the target's instructions, which GCC refuses on ARM.
    HWY_INLINE Pair() {}
    HWY_INLINE Pair(FloatVector even, FloatVector odd) : even(even), odd(odd) {}
    FloatVector even, odd;
  };
  static HWY_INLINE Pair Weights(const bfloat16* from) {
    const FloatTag d;
    const hn::ScalableTag<uint32_t> du32;
    const auto bits = hn::Load(du32, reinterpret_cast<const uint32_t*>(from));
    return {hn::BitCast(d, hn::ShiftLeft<16>(bits)),
            hn::BitCast(d, hn::And(bits, hn::Set(du32, 0xffff0000u)))};
  }
  static HWY_INLINE Pair Inputs(const float* x) {
    const FloatTag d;
    return {hn::Set(d, x[0]), hn::Set(d, x[1])};
  }
  static HWY_INLINE Sum Add(const Pair& inputs, const Pair& weights, Sum sum) {
    return hn::MulAdd(inputs.odd, weights.odd, hn::MulAdd(inputs.even, weights.even, sum));
  }
};

// The inputs are integers too, of 8 bits stored in 16, because processors multiply pairs of these
// twice as fast as floats. The sums are exact.
struct Int8Step {
  using Weight = int8_t;
  using Input = int16_t;
  using Integers = hn::Vec<hn::ScalableTag<int32_t>>;
  static constexpr int64_t kDepths = 2;
  static constexpr int kMaxRows = max_rows(1);
  struct Sum {
    HWY_INLINE Sum() {}  // as above
    HWY_INLINE Sum(Integers first, Integers second) : first(first), second(second) {}
    Integers first, second;  // the processor decides which products of a pair go into which
  };
#if HWY_TARGET == HWY_SCALAR
  struct Pairs {
    int32_t even, odd;
  };
  static HWY_INLINE Pairs Weights(const int8_t* from) { return {from[0], from[1]}; }
  static HWY_INLINE Pairs Inputs(const int16_t* x) { return {x[0], x[1]}; }
  static HWY_INLINE Sum Add(Pairs inputs, Pairs weights, Sum sum) {
    sum.first.raw += inputs.even * weights.even + inputs.odd * weights.odd;
    return sum;
  }
#else
  using Pairs = hn::Vec<hn::ScalableTag<int16_t>>;
  static HWY_INLINE Pairs Weights(const int8_t* from) {
    const hn::ScalableTag<int16_t> di16;
    return hn::PromoteTo(di16, hn::LoadU(hn::Rebind<int8_t, decltype(di16)>(), from));
  }
  static HWY_INLINE Pairs Inputs(const int16_t* x) {
    int32_t pair;
    std::memcpy(&pair, x, sizeof(pair));
    return hn::BitCast(hn::ScalableTag<int16_t>(), hn::Set(hn::ScalableTag<int32_t>(), pair));
  }
  static HWY_INLINE Sum Add(Pairs inputs, Pairs weights, Sum sum) {
    const hn::ScalableTag<int32_t> di32;
    sum.first = hn::ReorderWidenMulAccumulate(di32, inputs, weights, sum.first, sum.second);
    return sum;
  }
#endif
  static HWY_INLINE Sum Begin(bool /*first*/, const float* /*sums*/, const int32_t* /*offsets*/) {
    const hn::ScalableTag<int32_t> di32;
    return {hn::Zero(di32), hn::Zero(di32)};
  }
  static HWY_INLINE void End(const Sum& sum, float scale, bool first, float* sums) {
    EndIntegers(hn::RearrangeToOddPlusEven(sum.first, sum.second), scale, first, sums);
  }
};

}  // namespace

const PanelKernel& FloatPanels() { return KernelOf<FloatStep>(); }
const PanelKernel& Bfloat16Panels() { return KernelOf<Bfloat16Step>(); }
const PanelKernel& Int8Panels() { return KernelOf<Int8Step>(); }

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace combiner {

HWY_EXPORT(FloatPanels);
HWY_EXPORT(Bfloat16Panels);
HWY_EXPORT(Int8Panels);

namespace portable {

const PanelKernel& float_panels() { return HWY_DYNAMIC_DISPATCH(FloatPanels)(); }
const PanelKernel& bfloat16_panels() { return HWY_DYNAMIC_DISPATCH(Bfloat16Panels)(); }
const PanelKernel& int8_panels() { return HWY_DYNAMIC_DISPATCH(Int8Panels)(); }

}  // namespace portable
}  // namespace combiner
#endif  // HWY_ONCE
