// How much of the machine this process may use.
#pragma once

#include <cstdint>

namespace combiner {

// Threads that can run at once: the processors that the process may run on, but no more than its
// cgroup's quota of processor time, rounded up. At least 1.
int usable_threads();

// Bytes: the machine's memory or the cgroup's limit, whichever is less.
int64_t usable_memory();

}  // namespace combiner
