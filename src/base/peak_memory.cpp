#include "base/peak_memory.h"

#include <algorithm>
#include <fstream>
#include <string>
#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace combiner {
namespace {

// An entry of this process's status, in kilobytes: VmRSS is the resident memory, VmHWM its peak.
std::optional<int64_t> kilobytes(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (int64_t value; word == key && status >> value) return value;
  return std::nullopt;
}

}  // namespace

PeakMemory::PeakMemory() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
  const bool is_reset(std::ofstream("/proc/self/clear_refs") << "5" << std::flush);
  if (is_reset) before_ = kilobytes("VmRSS:");
}

std::optional<int64_t> PeakMemory::bytes() const {
  const std::optional<int64_t> peak = kilobytes("VmHWM:");
  if (!peak || !before_) return std::nullopt;
  return std::max<int64_t>(*peak - *before_, 0) * 1024;
}

void return_freed_memory() {
#ifdef __GLIBC__
  // Blocks of at least this size become mappings of their own.
  ::mallopt(M_MMAP_THRESHOLD, 1 << 16);
#endif
}

}  // namespace combiner
