// What the threads of a team have in common when they do one thing together, step by step.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

namespace combiner {

// Thrown by a barrier that a thread of the team has broken: its own exception says why.
struct BrokenBarrier {};

// Holds each of `size` threads until all have come, for less time than it takes to sleep and wake:
// they spin, and yield once that takes long. A dissemination barrier (Hensgen, Finkel and Manber,
// 1988): in each of log2(size) rounds a thread tells one other that it has come, at twice the
// distance of the round before, and waits to be told itself. There is no counter for which all must
// queue.
class SpinBarrier {
 public:
  explicit SpinBarrier(int size);

  // Called by each thread with a rank of its own, 0 .. size - 1. What a thread did before wait() is
  // seen by all after it. Throws BrokenBarrier.
  void wait(int rank);
  // Ends all waiting, from now on: a thread won't come any more.
  void break_up() { broken_ = true; }

 private:
  static constexpr int kMaxRounds = 31;
  // A thread's own, alone in its cache lines and those that are fetched with them.
  struct alignas(128) Slot {
    uint32_t phase = 0;  // how often it has come
    std::array<std::atomic<uint32_t>, kMaxRounds>
        signals;  // in each round, the phase of who told it
  };

  const int size_;
  std::vector<Slot> slots_;
  std::atomic<bool> broken_ = false;
};

// One thread's part in the work. By itself a thread does all.
class Share {
 public:
  Share() = default;
  // `barrier` is of the team's `size` threads and must outlive the share.
  Share(int rank, int size, SpinBarrier& barrier) : rank_(rank), size_(size), barrier_(&barrier) {}

  void wait() const {
    if (barrier_) barrier_->wait(rank_);
  }

  struct Range {
    int64_t first, last;
  };
  // Its part of `count` pieces.
  Range of(int64_t count) const { return {count * rank_ / size_, count * (rank_ + 1) / size_}; }

  // Calls work(first, number) for its part of `count` pieces, unless that is none, and waits until
  // all have done theirs.
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
