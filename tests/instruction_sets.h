// Runs a test of kernels under every instruction set that they were compiled for and the machine
// supports, with and without tile registers.
#pragma once

#include <cstdint>
#include <vector>

#include "catch.h"
#include "hwy/highway.h"
#include "kernels/amx.h"

namespace combiner {

// Restricts kernels to one instruction set for the lifetime of this object.
class OnlyInstructionSet {
 public:
  explicit OnlyInstructionSet(int64_t target) { hwy::SetSupportedTargetsForTest(target); }
  ~OnlyInstructionSet() { hwy::SetSupportedTargetsForTest(0); }
  OnlyInstructionSet(const OnlyInstructionSet&) = delete;
  OnlyInstructionSet& operator=(const OnlyInstructionSet&) = delete;
};

template <class Test>
void for_each_instruction_set(const Test& test) {
  for (const int64_t target : hwy::SupportedAndGeneratedTargets()) {
    const OnlyInstructionSet only(target);
    INFO(hwy::TargetName(target));
    test();
    if (!amx_available()) continue;
    const WithoutAmx without;
    INFO("without tile registers");
    test();
  }
}

}  // namespace combiner
