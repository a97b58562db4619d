// The processors that this process's threads may run on.
#pragma once

#include <vector>

namespace combiner {

// The numbers of the processors that the process was given: its affinity mask at start, before an
// OpenMP runtime bound the main thread to one of them (OMP_PROC_BIND, GOMP_CPU_AFFINITY). With
// OMP_PLACES, the processors of those places. Empty where the system has no such masks.
const std::vector<int>& process_affinity();

// If an OpenMP runtime has bound threads, lets the calling one run on all of process_affinity():
// threads inherit the mask of the thread that starts them.
void unbind_thread();

}  // namespace combiner
