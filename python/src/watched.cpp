#include "watched.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>

namespace combiner {
namespace py = pybind11;

namespace {

// The work under way. Never destroyed, because work may outlive all else.
class UnderWay {
 public:
  static UnderWay& all() {
    static UnderWay* const all = new UnderWay;
    return *all;
  }

  // Counts as work while it exists.
  class Work {
   public:
    Work() { all().add(1); }
    ~Work() { all().add(-1); }
    Work(const Work&) = delete;
    Work& operator=(const Work&) = delete;
  };

  void wait() {
    std::unique_lock lock(mutex_);
    none_.wait_for(lock, std::chrono::seconds(1), [&] { return number_ == 0; });
  }

 private:
  void add(int number) {
    const std::lock_guard lock(mutex_);
    number_ += number;
    if (number_ == 0) none_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable none_;
  int number_ = 0;  // guarded by `mutex_`
};

}  // namespace

void wait_for_work_at_end() {
  Py_AtExit([] { UnderWay::all().wait(); });
}

void Watched::run(const std::function<void()>& work) {
  std::mutex mutex;
  std::condition_variable ended;
  bool has_ended = false;                 // guarded by `mutex`
  std::exception_ptr failure, in_python;  // of the work, of Python code
  {
    const WithoutGil without_gil;
    // Counted from before the thread begins until after its last use of what Python takes down.
    std::jthread worker([&, counted = std::make_unique<UnderWay::Work>()] {
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
      if (cancelled()) continue;
      lock.unlock();
      try {
        const WithGil with_gil(without_gil);
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
  call_python(progress_, py::make_tuple(done));
}

}  // namespace combiner
