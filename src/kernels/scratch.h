// Scratch memory of the kernels.
#pragma once

#include <cstddef>
#include <type_traits>

#include "tensor/buffer.h"

namespace combiner {

// Memory that is kept and reused from call to call. Must not be used by two threads at once.
class Scratch {
 public:
  // Memory for `count` values, uninitialised. Invalidates what was reserved before.
  template <class T>
  T* reserve(size_t count) {
    static_assert(std::is_trivially_copyable_v<T>);
    const size_t bytes = count * sizeof(T);
    if (buffer_.size() < bytes) buffer_ = Buffer<std::byte>(bytes);
    return reinterpret_cast<T*>(buffer_.data());
  }

 private:
  Buffer<std::byte> buffer_;
};

}  // namespace combiner
