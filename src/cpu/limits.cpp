#include "cpu/limits.h"

#include <algorithm>
#include <cmath>
#include <thread>

#include "base/affinity.h"
#include "base/memory.h"
#include "cpu/cgroup.h"

namespace combiner {

namespace {

int find_usable_threads() {
  const auto count = static_cast<int>(
      process_affinity().empty() ? std::thread::hardware_concurrency() : process_affinity().size());
  const std::optional<double> quota = read_cgroup_limits().processors;
  const double limit = std::ceil(quota.value_or(count));
  return std::max(1, limit < count ? static_cast<int>(limit) : count);
}

}  // namespace

int usable_threads() {
  // Every subcommand asks when the program starts, and the answer takes reading files.
  static const int threads = find_usable_threads();
  return threads;
}

int64_t usable_memory() {
  return std::min(machine_memory(), read_cgroup_limits().memory.value_or(machine_memory()));
}

}  // namespace combiner
