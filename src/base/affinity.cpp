#include "base/affinity.h"

#include <omp.h>
#ifdef __linux__
#include <sched.h>
#include <unistd.h>
#endif

#include <algorithm>

namespace combiner {
namespace {

#ifdef __linux__
// Adds the processors of the calling thread's mask.
void add_mask(std::vector<int>& processors) {
  // Room for more processors than cpu_set_t has.
  constexpr int kMaxProcessors = 1 << 14;
  std::vector<unsigned long> mask(kMaxProcessors / (8 * sizeof(unsigned long)));
  auto* const set = reinterpret_cast<cpu_set_t*>(mask.data());
  const size_t bytes = mask.size() * sizeof(unsigned long);
  if (sched_getaffinity(0, bytes, set) != 0) return;
  for (int i = 0; i < kMaxProcessors; ++i)
    if (CPU_ISSET_S(static_cast<size_t>(i), bytes, set)) processors.push_back(i);
}
#endif

std::vector<int> find_affinity() {
  std::vector<int> processors;
#ifdef __linux__
  add_mask(processors);
  // The OpenMP runtime made its places of the mask that it found, and bound the main thread only.
  // Places that a user names may have processors that the machine lacks.
  const long configured = sysconf(_SC_NPROCESSORS_CONF);
  for (int place = 0; place < omp_get_num_places(); ++place) {
    std::vector<int> of_place(static_cast<size_t>(omp_get_place_num_procs(place)));
    omp_get_place_proc_ids(place, of_place.data());
    std::erase_if(of_place, [&](int processor) { return processor >= configured; });
    processors.insert(processors.end(), of_place.begin(), of_place.end());
  }
#endif
  std::ranges::sort(processors);
  const auto repeated = std::ranges::unique(processors);
  processors.erase(repeated.begin(), repeated.end());
  return processors;
}

}  // namespace

const std::vector<int>& process_affinity() {
  static const std::vector<int> processors = find_affinity();
  return processors;
}

void unbind_thread() {
#ifdef __linux__
  const std::vector<int>& processors = process_affinity();
  std::vector<int> inherited;
  add_mask(inherited);
  if (inherited == processors) return;  // setting a mask, even the same, moves the thread
  const auto count = static_cast<size_t>(processors.back()) + 1;
  constexpr size_t kBits = 8 * sizeof(unsigned long);
  std::vector<unsigned long> mask((count + kBits - 1) / kBits);
  auto* const set = reinterpret_cast<cpu_set_t*>(mask.data());
  const size_t bytes = mask.size() * sizeof(unsigned long);
  for (const int i : processors) CPU_SET_S(static_cast<size_t>(i), bytes, set);
  sched_setaffinity(0, bytes, set);  // if it fails, the thread stays where it may run
#endif
}

}  // namespace combiner
