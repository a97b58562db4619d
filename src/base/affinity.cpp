#include "base/affinity.h"

#include <omp.h>
#ifdef __linux__
#include <sched.h>
#include <unistd.h>
#endif

#include <algorithm>
#include <array>

namespace combiner {
namespace {

#ifdef __linux__
// Has room for more processors than cpu_set_t has.
struct Mask {
  static constexpr int kMaxProcessors = 1 << 14;
  std::array<unsigned long, kMaxProcessors / (8 * sizeof(unsigned long))> bits = {};

  static constexpr size_t kBytes = sizeof bits;
  cpu_set_t* set() { return reinterpret_cast<cpu_set_t*>(bits.data()); }
  void add(int processor) { CPU_SET_S(static_cast<size_t>(processor), kBytes, set()); }
  bool has(int processor) { return CPU_ISSET_S(static_cast<size_t>(processor), kBytes, set()); }
};

// Adds the processors of the calling thread's mask.
void add_mask(std::vector<int>& processors) {
  Mask mask;
  if (sched_getaffinity(0, Mask::kBytes, mask.set()) != 0) return;
  for (int i = 0; i < Mask::kMaxProcessors; ++i)
    if (mask.has(i)) processors.push_back(i);
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
  processors.erase(std::unique(processors.begin(), processors.end()), processors.end());
  return processors;
}

}  // namespace

const std::vector<int>& process_affinity() {
  static const std::vector<int> processors = find_affinity();
  return processors;
}

void unbind_thread() {
#ifdef __linux__
  if (omp_get_num_places() == 0) return;  // nothing was bound but by the user
  // Allocates nothing: a failed allocation in a thread that begins would end the program.
  Mask inherited;
  Mask wanted;
  if (sched_getaffinity(0, Mask::kBytes, inherited.set()) != 0) return;
  for (const int processor : process_affinity()) wanted.add(processor);
  if (inherited.bits == wanted.bits) return;  // setting a mask, even the same, moves the thread
  // If it fails, the thread stays where it may run.
  sched_setaffinity(0, Mask::kBytes, wanted.set());
#endif
}

}  // namespace combiner
