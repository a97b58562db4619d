#include "cpu/features.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>

#include "cpu/avx512.h"
#include "hwy/targets.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace combiner {
namespace {

constexpr std::array<std::string_view, kInstructionSets.size()> kNames = {"avx2", "avx512",
                                                                          "avx512_bf16", "native"};

#if defined(COMBINER_EMULATE_AMX)
bool has_amx() { return true; }
#elif defined(__x86_64__) && defined(__linux__)
bool has_amx() {
  // CPUID leaf 7, EDX: bits 22 (AMX-BF16), 24 (AMX-TILE) and 25 (AMX-INT8).
  constexpr unsigned kAmx = 1u << 22 | 1u << 24 | 1u << 25;
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || (edx & kAmx) != kAmx) return false;
  // The tile registers are large, so Linux enables them only for a process that requests them. The
  // permission covers all of its threads.
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#else
bool has_amx() { return false; }
#endif

CpuFeatures ask_processor() {
  CpuFeatures features;
#if defined(__x86_64__)
  __builtin_cpu_init();
  // Highway's kernels for AVX2 want more of the processor than that, such as AES. Without them,
  // products and sums are not fused. A better target has a lower bit.
  constexpr int64_t kFromAvx2 = HWY_AVX2 | (HWY_AVX2 - 1);
  features.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
                  (hwy::SupportedTargets() & kFromAvx2) != 0;
  features.avx512 = features.avx2 && __builtin_cpu_supports("avx512f") &&
                    __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
                    __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  features.avx512_vnni = features.avx512 && __builtin_cpu_supports("avx512vnni");
  features.avx512_bf16 = features.avx512 && __builtin_cpu_supports("avx512bf16");
  features.fast_bf16_dot = features.avx512_bf16 && !__builtin_cpu_is("intel");
#endif
  features.amx = features.avx512_vnni && features.avx512_bf16 && has_amx();
  return features;
}

CpuFeatures up_to(InstructionSet cap, CpuFeatures features) {
  if (!COMBINER_AVX512_KERNELS) cap = std::min(cap, InstructionSet::avx512);
  if (cap < InstructionSet::native) features.amx = false;
  if (cap < InstructionSet::avx512_bf16)
    features.avx512_vnni = features.avx512_bf16 = features.fast_bf16_dot = false;
  if (cap < InstructionSet::avx512) features.avx512 = false;
  return features;
}

std::atomic<InstructionSet> current_cap = InstructionSet::native;
std::atomic<bool> fast_bf16_dot_inverted = false;

std::string list(const CpuFeatures& features) {
  std::string text;
  const auto add = [&](bool has, const char* name) {
    if (has) text += (text.empty() ? "" : ", ") + std::string(name);
  };
#if HWY_ARCH_ARM_A64
  add(true, "NEON");
#endif
  add(features.avx2, "AVX2");
  add(features.avx512, "AVX-512");
  add(features.avx512_vnni, "AVX-512 VNNI");
  add(features.avx512_bf16, "AVX-512 BF16");
  add(features.amx, "AMX");
  return text.empty() ? "none beyond the baseline" : text;
}

}  // namespace

std::string_view name(InstructionSet set) { return kNames[static_cast<size_t>(set)]; }

std::optional<InstructionSet> instruction_set_named(std::string_view name) {
  for (const InstructionSet set : kInstructionSets)
    if (combiner::name(set) == name) return set;
  return std::nullopt;
}

void cap_instruction_set(InstructionSet cap) {
  current_cap = cap;
#if HWY_ARCH_X86
  // A better target has a lower bit.
  const bool beyond_avx2 = cap >= InstructionSet::avx512;
  hwy::DisableTargets(beyond_avx2 ? 0 : int64_t{HWY_AVX2} - 1);
#endif
}

InstructionSet instruction_set_cap() { return current_cap; }

CpuFeatures processor_features() {
  static const CpuFeatures features = ask_processor();
  return features;
}

CpuFeatures cpu_features() {
  CpuFeatures features = processor_features();
  if (features.avx512_bf16 && fast_bf16_dot_inverted)
    features.fast_bf16_dot = !features.fast_bf16_dot;
  return up_to(instruction_set_cap(), features);
}

void invert_fast_bf16_dot(bool inverted) { fast_bf16_dot_inverted = inverted; }

std::string processor_instructions() { return list(processor_features()); }
std::string instructions_in_use() { return list(cpu_features()); }

bool fuses_multiply_add() {
  const int64_t supported = hwy::SupportedTargets();
  const int64_t best = supported & -supported;  // a better target has a lower bit
#if HWY_ARCH_X86
  return best <= HWY_AVX2;
#else
  return (best & (HWY_SCALAR | HWY_EMU128 | HWY_WASM | HWY_WASM_EMU256)) == 0;
#endif
}

std::string kernels_in_use(Precision precision) {
  const CpuFeatures features = cpu_features();
  if (precision != Precision::f32)
    return list(features) + (features.fast_bf16_dot ? ", fast dot products" : "");
  // In float, only whether products and sums are fused makes a difference.
  return fuses_multiply_add() ? "FMA" : "no FMA";
}

}  // namespace combiner
