#include "cpu/features.h"

#include "catch.h"
#include "instruction_sets.h"
#include "kernels/table.h"

namespace combiner {
namespace {

// Fails where a compiler, or a version of Highway, makes no kernels for what the processor has.
TEST_CASE("All that the processor has is in use") {
  if (instruction_set_cap() != InstructionSet::native) SKIP_TEST("the test runner has a cap");
  CHECK(cpu_features() == processor_features());
  CHECK(instructions_in_use() == processor_instructions());
  if (cpu_features().avx2) {
    const int64_t best = hwy::SupportedAndGeneratedTargets().front();
    CHECK(best <= (cpu_features().avx512 ? HWY_AVX3 : HWY_AVX2));
  }
}

TEST_CASE("A cap takes away what it does not name, for our kernels and for Highway") {
  const CpuFeatures all = cpu_features();
  {
    const Capped capped(InstructionSet::avx512_bf16);
    CHECK_FALSE(cpu_features().amx);
    CHECK(cpu_features().avx512_bf16 == all.avx512_bf16);
    CHECK(kernels().multiply_transposed == nullptr);
  }
  {
    const Capped capped(InstructionSet::avx512);
    CHECK_FALSE(cpu_features().avx512_bf16);
    CHECK_FALSE(cpu_features().avx512_vnni);
    CHECK_FALSE(cpu_features().fast_bf16_dot);
    CHECK(cpu_features().avx512 == all.avx512);
  }
  {
    const Capped capped(InstructionSet::avx2);
    CHECK_FALSE(cpu_features().avx512);
    CHECK(cpu_features().avx2 == all.avx2);
#if HWY_ARCH_X86
    CHECK(hwy::SupportedAndGeneratedTargets().front() >= HWY_AVX2);
#endif
  }
  CHECK(cpu_features() == all);
}

TEST_CASE("Kernels are those of the features in use") {
  const bool amx = cpu_features().amx;
  CHECK((kernels().multiply_transposed != nullptr) == amx);
  CHECK((kernels().int8_panels().group == 4) == cpu_features().avx512_vnni);
  CHECK((kernels().bfloat16_panels().whole_depth == 32) == amx);
}

TEST_CASE("Tests can take the dot products of AVX-512 BF16 for fast and for slow") {
  const Capped without_amx(InstructionSet::avx512_bf16);
  if (!cpu_features().avx512_bf16) SKIP_TEST("there are no such dot products");
  const bool fast = cpu_features().fast_bf16_dot;
  const auto own = kernels().bfloat16_panels;
  {
    const OtherDotProducts other;
    CHECK(cpu_features().fast_bf16_dot != fast);
    CHECK(kernels().bfloat16_panels != own);
  }
  CHECK(cpu_features().fast_bf16_dot == fast);
  CHECK(kernels().bfloat16_panels == own);
}

TEST_CASE("Instruction sets have names") {
  for (const InstructionSet set : kInstructionSets) CHECK(instruction_set_named(name(set)) == set);
  CHECK_FALSE(instruction_set_named("avx"));
}

}  // namespace
}  // namespace combiner
