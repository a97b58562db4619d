#include "watched.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

namespace combiner {
namespace py = pybind11;

void Watched::run(const std::function<void()>& work) {
  std::mutex mutex;
  std::condition_variable ended;
  bool has_ended = false;                 // guarded by `mutex`
  std::exception_ptr failure, in_python;  // of the work, of Python code
  {
    const py::gil_scoped_release without_gil;
    std::jthread worker([&] {
      try {
        work();
      } catch (...) {
        failure = std::current_exception();
      }
      const std::lock_guard lock(mutex);
      has_ended = true;
      ended.notify_one();
    });
    constexpr std::chrono::milliseconds kInterval(50);
    std::unique_lock lock(mutex);
    while (!ended.wait_for(lock, kInterval, [&] { return has_ended; })) {
      if (in_python) continue;
      lock.unlock();
      try {
        const py::gil_scoped_acquire with_gil;
        look_after_python();
      } catch (...) {
        in_python = std::current_exception();
        cancelled_ = true;
      }
      lock.lock();
    }
  }
  if (in_python) std::rethrow_exception(in_python);
  if (failure) std::rethrow_exception(failure);
  report(1);
}

void Watched::look_after_python() {
  if (PyErr_CheckSignals() != 0) throw py::error_already_set();
  report(std::min(1.0, static_cast<double>(done_) / static_cast<double>(total_)));
}

void Watched::report(double done) {
  if (progress_.is_none() || done == reported_) return;
  reported_ = done;
  progress_(done);
}

}  // namespace combiner
