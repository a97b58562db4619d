// Long work that Python can watch and end.
#pragma once

#include <pybind11/pybind11.h>

#include <atomic>
#include <cstdint>
#include <functional>

#include "combiner/cancel.h"
#include "gil.h"

namespace combiner {

// Python handles signals, such as Ctrl-C, on its main thread only, and only when it is asked to. So
// the work is done on another thread, without Python's lock (GIL), and the calling thread looks
// after signals and progress meanwhile. Functions of the user's are called by no other thread.
class Watched {
 public:
  // `progress` is a Python function or None. It is called with the part of `total` that is done, a
  // float from 0 to 1, about 20 times a second and, unless the work ends early, at the end.
  explicit Watched(pybind11::object progress = pybind11::none(), int64_t total = 1)
      : progress_(std::move(progress)), total_(total) {}

  // For the work, on any thread. When Python ends, so does the work, unless it is part of that.
  bool cancelled() const {
    return cancelled_.load(std::memory_order_relaxed) || (!made_at_end_ && python_ends());
  }
  Cancel cancel() const {
    return Cancel([this] { return cancelled(); });
  }
  void add_done() { done_.fetch_add(1, std::memory_order_relaxed); }

  // Does the work. Call it with the GIL. Throws what the work throws; or, if a signal's handler or
  // progress() raises an exception, ends the work early and throws that, not Cancelled.
  void run(const std::function<void()>& work);

 private:
  // Throws pybind11::error_already_set if Python code raises an exception. Needs the GIL.
  void look_after_python();
  void report(double done);

  pybind11::object progress_;
  int64_t total_;
  std::atomic<int64_t> done_ = 0;
  std::atomic<bool> cancelled_ = false;
  const bool made_at_end_ = python_ends();  // if so, by the thread that ends it
  double reported_ = -1;
};

// Lets the end of Python wait for work that is under way, for a second at most: after it, the
// process takes down what the work uses. Called once.
void wait_for_work_at_end();

}  // namespace combiner
