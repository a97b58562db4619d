// An owning array, aligned to cache lines and vector registers.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

#include "base/memory.h"

namespace combiner {

// All bits of the elements are initially zero. Moves are cheap; copies are explicit (`clone`).
template <class T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Buffer() = default;
  explicit Buffer(size_t size) : data_(allocate(size)), size_(size) {}
  Buffer(Buffer&& other) noexcept
      : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    data_ = std::move(other.data_);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  Buffer clone() const {
    Buffer copy(size_);
    std::copy_n(data(), size_, copy.data());
    return copy;
  }
  void fill(T value) { std::fill_n(data(), size_, value); }

  T* data() { return data_.get(); }
  const T* data() const { return data_.get(); }
  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  T& operator[](size_t i) { return data_[i]; }
  const T& operator[](size_t i) const { return data_[i]; }
  T* begin() { return data(); }
  T* end() { return data() + size_; }
  const T* begin() const { return data(); }
  const T* end() const { return data() + size_; }
  std::span<T> span() { return {data(), size_}; }
  std::span<const T> span() const { return {data(), size_}; }

 private:
  struct Free {
    size_t bytes = 0;
    void operator()(T* p) const { free_zeros(p, bytes); }
  };
  static std::unique_ptr<T[], Free> allocate(size_t size) {
    if (size > std::numeric_limits<std::ptrdiff_t>::max() / sizeof(T)) throw std::bad_alloc();
    const size_t bytes = size * sizeof(T);
    return {static_cast<T*>(allocate_zeros(bytes)), Free{bytes}};
  }

  std::unique_ptr<T[], Free> data_;
  size_t size_ = 0;
};

}  // namespace combiner
