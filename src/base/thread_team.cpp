#include "base/thread_team.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <system_error>
#include <utility>

#include "base/affinity.h"
#include "base/plural.h"
#include "combiner/error.h"

namespace combiner {

ThreadTeam::ThreadTeam(int size) {
  const int wanted = std::max(size, 1);
  process_affinity();  // allocates, which must not fail in a thread that begins
  threads_.reserve(static_cast<size_t>(wanted));
  try {
    for (int rank = 0; rank < wanted; ++rank) threads_.emplace_back([this, rank] { serve(rank); });
  } catch (const std::system_error& error) {
    const size_t started = threads_.size();
    stop();
    throw Error(
        fmt::format("can't start {} to compute with, only {}: {}; a limit on processes or on "
                    "memory may be too low for them, so give fewer --threads",
                    plural(wanted, "thread"), started, error.code().message()));
  } catch (...) {
    stop();
    throw;
  }
}

ThreadTeam::~ThreadTeam() { stop(); }

void ThreadTeam::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadTeam::serve(int rank) {
  unbind_thread();
  uint64_t seen = 0;
  for (;;) {
    const std::function<void(int)>* work = nullptr;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [&] { return stopping_ || generation_ != seen; });
      if (stopping_) return;
      seen = generation_;
      work = work_;
    }
    std::exception_ptr failure;
    try {
      (*work)(rank);
    } catch (...) {
      failure = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    // Moved, so that the thread that called run() is the last to hold it, not this one.
    if (auto thrown = std::move(failure); thrown && !failure_) failure_ = std::move(thrown);
    if (--running_ == 0) done_.notify_one();
  }
}

void ThreadTeam::run(const std::function<void(int rank)>& work) {
  std::unique_lock lock(mutex_);
  work_ = &work;
  running_ = size();
  ++generation_;
  wake_.notify_all();
  done_.wait(lock, [&] { return running_ == 0; });
  work_ = nullptr;
  if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
}

void ThreadTeam::for_each(int64_t count, const std::function<void(int rank, int64_t index)>& work) {
  std::atomic<int64_t> next{0};
  run([&](int rank) {
    for (int64_t i = next++; i < count; i = next++) {
      try {
        work(rank, i);
      } catch (...) {
        next = count;
        throw;
      }
    }
  });
}

}  // namespace combiner
