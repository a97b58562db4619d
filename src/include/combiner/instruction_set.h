// Which of the processor's instructions the library uses.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "combiner/precision.h"

namespace combiner {

// A cap on the instructions in use. Each includes those before it, and means all that the processor
// has up to there: AVX2 with FMA; AVX-512; its extensions VNNI and BF16; everything.
enum class InstructionSet : uint8_t { avx2, avx512, avx512_bf16, native };
inline constexpr std::array kInstructionSets = {InstructionSet::avx2, InstructionSet::avx512,
                                                InstructionSet::avx512_bf16,
                                                InstructionSet::native};

// "avx2", "avx512", "avx512_bf16" or "native".
std::string_view name(InstructionSet set);
std::optional<InstructionSet> instruction_set_named(std::string_view name);

// Caps the instructions that this process uses from now on. Call it before anything else of this
// library: weights that have been packed keep the layout of the kernels they were packed for, and
// oneDNN takes no other cap once it has multiplied. Not thread-safe.
void cap_instruction_set(InstructionSet cap);

// The instruction sets that the processor has and those in use, by name: "AVX2, AVX-512, AVX-512
// VNNI".
std::string processor_instructions();
std::string instructions_in_use();

// Names what decoding in this precision is computed with here. Where the name is the same, a model
// draws the same images of a seed, bit for bit.
std::string kernels_in_use(Precision precision);

}  // namespace combiner
