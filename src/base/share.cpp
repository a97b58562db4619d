#include "base/share.h"

#include <hwy/cache_control.h>

#include <thread>

namespace combiner {

SpinBarrier::SpinBarrier(int size) : size_(size), slots_(static_cast<size_t>(size)) {}

void SpinBarrier::wait(int rank) {
  // About 50 microseconds. A longer wait means that another process has the processor.
  constexpr int kSpins = 2000;
  Slot& own = slots_[static_cast<size_t>(rank)];
  const uint32_t phase = ++own.phase;
  for (int round = 0, distance = 1; distance < size_; ++round, distance *= 2) {
    const auto index = static_cast<size_t>(round);
    const auto other = static_cast<size_t>((rank + distance) % size_);
    slots_[other].signals[index].store(phase, std::memory_order_release);
    // The sender may already have arrived once more, but not twice: for that it needs this thread.
    const std::atomic<uint32_t>& incoming = own.signals[index];
    for (int spins = 0; incoming.load(std::memory_order_acquire) - phase > 1; ++spins) {
      if (broken_.load(std::memory_order_relaxed)) throw BrokenBarrier();
      if (spins < kSpins)
        hwy::Pause();
      else
        std::this_thread::yield();
    }
  }
}

}  // namespace combiner
