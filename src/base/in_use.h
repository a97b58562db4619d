// Objects that must not be used by two threads at once, nor from inside themselves.
#pragma once

#include <atomic>

namespace combiner {

// Marks an object as in use for as long as it lives.
template <class Exception>
class InUse {
 public:
  // Throws Exception with the message if the object is in use.
  InUse(std::atomic_flag& flag, const char* message) : flag_(flag) {
    if (flag_.test_and_set(std::memory_order_acquire)) throw Exception(message);
  }
  ~InUse() { flag_.clear(std::memory_order_release); }
  InUse(const InUse&) = delete;
  InUse& operator=(const InUse&) = delete;

 private:
  std::atomic_flag& flag_;
};

}  // namespace combiner
