#include "kernels/amx.h"

#include <atomic>

#if COMBINER_HAS_AMX
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/amx.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {

// Whether dynamic dispatch selects the AVX3 target, with which the AMX kernels are compiled. Asking
// Highway for all targets that the processor supports would take about 20 us.
bool DispatchesToAvx3() { return HWY_TARGET == HWY_AVX3; }

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace combiner {

HWY_EXPORT(DispatchesToAvx3);

namespace {

#if COMBINER_HAS_AMX
bool processor_and_system_support_amx() {
  // CPUID leaf 7, EDX: bits 22 (AMX-BF16), 24 (AMX-TILE) and 25 (AMX-INT8). Subleaf 1, EAX: bit 5
  // (AVX512_BF16).
  constexpr unsigned kAmx = 1u << 22 | 1u << 24 | 1u << 25;
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || (edx & kAmx) != kAmx) return false;
  if (!__get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) || !(eax & 1u << 5)) return false;
  // The tile registers are large, so Linux enables them only for a process that requests them. The
  // permission covers all of its threads.
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}
#endif

std::atomic<int> disable_count = 0;

}  // namespace

bool amx_available() {
#if COMBINER_HAS_AMX
  static const bool has = processor_and_system_support_amx();
  return has && disable_count == 0 && HWY_DYNAMIC_DISPATCH(DispatchesToAvx3)();
#else
  return false;
#endif
}

WithoutAmx::WithoutAmx() { ++disable_count; }
WithoutAmx::~WithoutAmx() { --disable_count; }

}  // namespace combiner
#endif  // HWY_ONCE
