// A fixed set of threads that run one function at a time.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace combiner {

// The team is the only parallelism: inside it, a library with OpenMP threads of its own (oneDNN)
// runs on one thread. Must not be used from two threads at once, nor from inside itself.
class ThreadTeam {
 public:
  // Throws Error if the system refuses so many threads.
  explicit ThreadTeam(int size);
  ~ThreadTeam();
  ThreadTeam(const ThreadTeam&) = delete;
  ThreadTeam& operator=(const ThreadTeam&) = delete;

  int size() const { return static_cast<int>(threads_.size()); }

  // Runs work(rank) once on every thread, with rank = 0 .. size - 1, and waits. After all have
  // finished, rethrows the first exception that any of them threw.
  void run(const std::function<void(int rank)>& work);

  // Runs work(rank, index) for index = 0 .. count - 1, each on the next idle thread. After an
  // exception, no further index is started.
  void for_each(int64_t count, const std::function<void(int rank, int64_t index)>& work);

 private:
  void serve(int rank);
  void stop();

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
