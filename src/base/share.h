// What the threads of a team share when they do one thing together, step by step.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

#include "combiner/cancel.h"

namespace combiner {

// Blocks each of `size` threads until all have arrived. Meant for waits that are shorter than it
// takes to sleep and wake: threads spin, and yield if a wait takes long. A dissemination barrier
// (Hensgen, Finkel and Manber, 1988): in each of log2(size) rounds, a thread signals one other
// thread, at twice the distance of the previous round, and waits for a signal itself. So threads do
// not contend for a shared counter.
class SpinBarrier {
 public:
  explicit SpinBarrier(int size);

  // Each thread calls this with its own rank, 0 .. size - 1. What a thread did before wait() is
  // visible to all threads after it. Throws BrokenBarrier.
  void wait(int rank);
  // Ends all waiting, now and later, because a thread will not arrive any more.
  void break_up() { broken_ = true; }

 private:
  static constexpr int kMaxRounds = 31;
  // The state of one thread, alone in its cache lines and in those that are prefetched with them.
  struct alignas(128) Slot {
    uint32_t phase = 0;                                     // number of arrivals
    std::array<std::atomic<uint32_t>, kMaxRounds> signals;  // the sender's phase, in each round
  };

  const int size_;
  std::vector<Slot> slots_;
  std::atomic<bool> broken_ = false;
};

// A part of some pieces: from `first` to `last` - 1.
struct Range {
  int64_t first, last;
};

// The part of `count` pieces that is that of number `rank` of `size`.
inline Range part_of(int64_t count, int rank, int size) {
  return {count * rank / size, count * (rank + 1) / size};
}

// One thread's share of the work. A default-constructed share is all of it.
class Share {
 public:
  Share() = default;
  // `barrier` is shared by the `size` threads of the team. It must outlive the share.
  Share(int rank, int size, SpinBarrier& barrier) : rank_(rank), size_(size), barrier_(&barrier) {}

  void wait() const {
    if (barrier_) barrier_->wait(rank_);
  }

  // This thread's part of `count` pieces.
  Range of(int64_t count) const { return part_of(count, rank_, size_); }

  // Calls work(first, number) for this thread's part of `count` pieces, unless it is empty, and
  // waits until all threads have finished theirs.
  template <class Work>
  void parallel_for(int64_t count, Work&& work) const {
    const Range part = of(count);
    if (part.last > part.first) work(part.first, part.last - part.first);
    wait();
  }

 private:
  int rank_ = 0;
  int size_ = 1;
  SpinBarrier* barrier_ = nullptr;
};

}  // namespace combiner
