// How much memory a piece of work needs.
#pragma once

#include <cstdint>
#include <optional>

namespace combiner {

// The process's peak resident memory since this was made, over what was resident then. One at a
// time: a second one begins the count anew.
class PeakMemory {
 public:
  // Gives freed memory back to the system first, for else it would hide what the work needs. Large
  // blocks freed by other threads are only given back after return_freed_memory().
  PeakMemory();

  // In bytes; no figure where the system keeps no such count (Linux does).
  std::optional<int64_t> bytes() const;

 private:
  std::optional<int64_t> before_;  // kilobytes
};

// From now on large blocks go back to the system as soon as they are freed, by whatever thread. For
// programs that measure.
void return_freed_memory();

}  // namespace combiner
