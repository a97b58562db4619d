// Runs a test of kernels under every instruction set that they were compiled for, the machine
// supports and the test runner's cap allows.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <vector>

#include "catch.h"
#include "cpu/features.h"
#include "hwy/highway.h"

namespace combiner {

// Caps the instructions in use for the lifetime of this object, if the cap is not lower already.
class Capped {
 public:
  explicit Capped(InstructionSet cap) : before_(instruction_set_cap()) {
    cap_instruction_set(std::min(cap, before_));
  }
  ~Capped() { cap_instruction_set(before_); }
  Capped(const Capped&) = delete;
  Capped& operator=(const Capped&) = delete;

 private:
  InstructionSet before_;
};

// Restricts Highway to one target for the lifetime of this object.
class OnlyTarget {
 public:
  explicit OnlyTarget(int64_t target) { hwy::SetSupportedTargetsForTest(target); }
  ~OnlyTarget() { hwy::SetSupportedTargetsForTest(0); }
  OnlyTarget(const OnlyTarget&) = delete;
  OnlyTarget& operator=(const OnlyTarget&) = delete;
};

// For the lifetime of this object, takes the dot products of AVX-512 BF16 for fast where they are
// slow, and for slow where they are fast.
class OtherDotProducts {
 public:
  OtherDotProducts() { invert_fast_bf16_dot(true); }
  ~OtherDotProducts() { invert_fast_bf16_dot(false); }
  OtherDotProducts(const OtherDotProducts&) = delete;
  OtherDotProducts& operator=(const OtherDotProducts&) = delete;
};

// First the portable kernels for each of Highway's targets, then the others.
template <class Test>
void for_each_instruction_set(const Test& test) {
  {
    const Capped portable(InstructionSet::avx512);
    for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
      const OnlyTarget only(target);
      INFO(hwy::TargetName(target));
      test();
    }
  }
  for (const InstructionSet set : {InstructionSet::avx512_bf16, InstructionSet::native}) {
    const auto below = static_cast<InstructionSet>(static_cast<int>(set) - 1);
    const CpuFeatures without = (Capped(below), cpu_features());
    const Capped capped(set);
    if (cpu_features() == without) continue;
    const auto run = [&] {
      INFO(kernels_in_use(Precision::bf16));
      test();
    };
    run();
    // AMX's kernels take the place of those with dot products.
    if (!cpu_features().avx512_bf16 || cpu_features().amx) continue;
    const OtherDotProducts other;
    run();
  }
}

// Checks that compute(), which returns floats, returns the same bits under every instruction set
// with fused multiply-add.
template <class Compute>
void check_same_bits(const Compute& compute) {
  std::vector<float> expected;
  int compared = 0;
  for_each_instruction_set([&] {
    if (!fuses_multiply_add()) return;
    const std::vector<float> actual = compute();
    REQUIRE(!actual.empty());
    if (expected.empty()) expected = actual;
    ++compared;
    const auto bits = [](float x) { return std::bit_cast<uint32_t>(x); };
    CHECK(std::ranges::equal(actual, expected, {}, bits, bits));
  });
  if (compared < 2) NOTE_SKIPPED("there is one instruction set with fused multiply-add");
}

}  // namespace combiner
