#include "kernels/amx.h"

#include <atomic>

#if COMBINER_HAS_AMX
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "hwy/targets.h"
#endif

namespace combiner {
namespace {

#if COMBINER_HAS_AMX
bool processor_and_system_have_it() {
  // CPUID leaf 7: EDX bits 22 (AMX-BF16), 24 (AMX-TILE), 25 (AMX-INT8); of subleaf 1, EAX bit 5
  // (AVX512_BF16).
  constexpr unsigned kAmx = 1u << 22 | 1u << 24 | 1u << 25;
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || (edx & kAmx) != kAmx) return false;
  if (!__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) || !(eax & 1u << 5)) return false;
  // The registers are large; Linux gives them to a process that asks, for all its threads.
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#endif

std::atomic<int> without = 0;

}  // namespace

bool amx_available() {
#if COMBINER_HAS_AMX
  static const bool has = processor_and_system_have_it();
  return has && without == 0 && (hwy::SupportedTargets() & HWY_AVX3);
#else
  return false;
#endif
}

WithoutAmx::WithoutAmx() { ++without; }
WithoutAmx::~WithoutAmx() { --without; }

}  // namespace combiner
