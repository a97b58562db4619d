// Objects that must not be used by two threads at once, nor from inside themselves.
#pragma once

#include <atomic>
#include <stdexcept>
#include <string>

namespace combiner {

// Marks an object as in use for as long as it lives.
class InUse {
 public:
  // Throws std::runtime_error, RuntimeError in Python, if the object is in use.
  InUse(std::atomic_flag& flag, const std::string& what) : flag_(flag) {
    if (flag_.test_and_set(std::memory_order_acquire))
      throw std::runtime_error(what +
                               " is in use, by another thread or by a function that it called");
  }
  ~InUse() { flag_.clear(std::memory_order_release); }
  InUse(const InUse&) = delete;
  InUse& operator=(const InUse&) = delete;

 private:
  std::atomic_flag& flag_;
};

}  // namespace combiner
