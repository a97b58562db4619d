// What the processor can do. The one place that asks it.
#pragma once

#include "combiner/instruction_set.h"

namespace combiner {

// Each feature includes all that kernels named after it need, and that the operating system
// supports it. No feature stands for another: processors have them in many combinations.
struct CpuFeatures {
  bool avx2 = false;         // with FMA
  bool avx512 = false;       // F, BW, CD, DQ and VL
  bool avx512_vnni = false;  // and avx512
  bool avx512_bf16 = false;  // and avx512
  bool amx = false;          // tiles, BF16 and INT8; and avx512_bf16 and avx512_vnni
  // Whether VDPBF16PS, the dot product of AVX-512 BF16, multiplies faster than float's
  // multiply-adds do. AMD's processors start one as often as a multiply-add, which does half as
  // much. Intel's start it a quarter as often: 1.4e9 a second against 5.5e9 on Emerald Rapids.
  bool fast_bf16_dot = false;

  bool operator==(const CpuFeatures&) const = default;
};

// What the processor has.
CpuFeatures processor_features();

// What is used of it: as far as the cap allows and kernels were compiled.
CpuFeatures cpu_features();

InstructionSet instruction_set_cap();

// For tests: whether cpu_features() inverts fast_bf16_dot, where there are such dot products.
void invert_fast_bf16_dot(bool inverted);

// Whether the best of Highway's targets in use has fused multiply-add.
bool fuses_multiply_add();

// Whether matrices of bfloat16 are multiplied faster than matrices of float.
inline bool multiplies_bf16_faster() { return cpu_features().amx || cpu_features().fast_bf16_dot; }

}  // namespace combiner
