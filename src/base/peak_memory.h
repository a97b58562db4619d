// Measures how much memory a piece of work needs.
#pragma once

#include <cstdint>
#include <optional>

namespace combiner {

// The process's peak resident memory since construction, in excess of what was resident at that
// time. Only one object can measure at a time: constructing a second one restarts the measurement.
class PeakMemory {
 public:
  // First returns freed memory to the system, because it would hide what the work needs. Large
  // blocks freed by other threads are returned only after return_freed_memory().
  PeakMemory();

  // In bytes. Nothing if the system does not report the peak (Linux does).
  std::optional<int64_t> bytes() const;

 private:
  std::optional<int64_t> before_;  // kilobytes
};

// From now on, returns large blocks to the system as soon as they are freed, by whatever thread.
// For programs that measure memory.
void return_freed_memory();

}  // namespace combiner
