// What the fuzzers share. Bad bytes must lead to an Error and to nothing else: another exception, a
// fault that a sanitizer sees, or much memory is a finding.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <stdexcept>
#include <string>

#include "combiner/error.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace combiner {

// A file in memory, for what reads paths.
class MemoryFile {
 public:
  explicit MemoryFile(std::span<const uint8_t> bytes)
      : descriptor_(::memfd_create("fuzz", MFD_CLOEXEC)) {
    if (descriptor_ < 0 ||
        ::write(descriptor_, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size()))
      throw std::runtime_error("can't make a file in memory");
  }
  ~MemoryFile() { ::close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::filesystem::path path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

// Reports a wrong result as libFuzzer expects it: by an exception that nobody catches.
inline void require(bool good, const char* what) {
  if (!good) throw std::logic_error(what);
}

// Runs what may refuse its input.
template <class Function>
int run_fuzz(Function function) {
  try {
    function();
  } catch (const Error& error) {
    require(*error.what() != '\0', "an Error must say something");
  }
  return 0;
}

}  // namespace combiner
