// What the threads of a team have in common when they do one thing together, step by step.
#pragma once

#include <atomic>
#include <cstdint>

namespace combiner {

// Thrown by a barrier that a thread of the team has broken: its own exception says why.
struct BrokenBarrier {};

// Holds each of `size` threads until all have come, for less time than it takes to sleep and wake:
// they spin, and yield once that takes long.
class SpinBarrier {
 public:
  explicit SpinBarrier(int size) : size_(size) {}

  // What a thread did before wait() is seen by all after it. Throws BrokenBarrier.
  void wait();
  // Ends all waiting, from now on: a thread won't come any more.
  void break_up() { broken_ = true; }

 private:
  const int size_;
  std::atomic<int> arrived_ = 0;
  std::atomic<uint32_t> phase_ = 0;
  std::atomic<bool> broken_ = false;
};

// One thread's part in the work. By itself a thread does all.
class Share {
 public:
  Share() = default;
  // `barrier` is of the team's `size` threads and must outlive the share.
  Share(int rank, int size, SpinBarrier& barrier) : rank_(rank), size_(size), barrier_(&barrier) {}

  void wait() const {
    if (barrier_) barrier_->wait();
  }

  struct Range {
    int64_t first, last;
  };
  // Its part of `count` pieces.
  Range of(int64_t count) const { return {count * rank_ / size_, count * (rank_ + 1) / size_}; }

  // Calls work(first, number) for its part of `count` pieces, unless that is none, and waits until
  // all have done theirs.
  template <class Work>
  void divide(int64_t count, Work&& work) const {
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
