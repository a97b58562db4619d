#include "tensor/share.h"

#include <hwy/cache_control.h>

#include <thread>

namespace combiner {

void SpinBarrier::wait() {
  // Some 50 microseconds: beyond, another process has the processor.
  constexpr int kSpins = 2000;
  const uint32_t phase = phase_.load(std::memory_order_relaxed);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size_) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.store(phase + 1, std::memory_order_release);
    return;
  }
  for (int spins = 0; phase_.load(std::memory_order_acquire) == phase; ++spins) {
    if (broken_.load(std::memory_order_relaxed)) throw BrokenBarrier();
    if (spins < kSpins)
      hwy::Pause();
    else
      std::this_thread::yield();
  }
}

}  // namespace combiner
