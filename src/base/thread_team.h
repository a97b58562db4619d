// A fixed set of threads that runs one function at a time.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace combiner {

// Threads this process may run at once (the affinity mask's size where the system has one).
int available_threads();

// The team is the parallelism: a library that brings OpenMP threads of its own (oneDNN) runs on one
// thread inside it. Not to be used from two threads at once, nor from inside itself.
class ThreadTeam {
 public:
  explicit ThreadTeam(int size);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int size() const { return static_cast<int>(threads_.size()); }

  // Runs work(rank) once on every thread, rank = 0 .. size - 1, and waits. The first exception
  // thrown by any of them is thrown again here, after all have ended.
  void run(const std::function<void(int rank)>& work);

  // Runs work(rank, index) for index = 0 .. count - 1, each index on the next idle thread. After an
  // exception no further index is started.
  void for_each(int64_t count, const std::function<void(int rank, int64_t index)>& work);

 private:
  void serve(int rank);

  std::mutex mutex_;
  std::condition_variable wake_;
  std::condition_variable done_;
  const std::function<void(int)>* work_ = nullptr;
  uint64_t generation_ = 0;
  int running_ = 0;
  bool stopping_ = false;
  std::exception_ptr failure_;
  std::vector<std::thread> threads_;
};

}  // namespace combiner
