// Writing tar archives.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace combiner {

// Whether a file can have this name in a tar archive (POSIX ustar): up to 100 bytes, or up to 255
// if a slash divides it well.
bool fits_tar(std::string_view name);

// Writes an archive of the ustar format. Equal files make equal archives: they belong to user 0 and
// are of 1970.
class TarWriter {
 public:
  using Write = std::function<void(std::span<const std::byte>)>;

  explicit TarWriter(Write write) : write_(std::move(write)) {}
  // Adds a file. Throws Error if the name does not fit.
  void add(const std::string& name, std::span<const std::byte> contents);
  void finish();

 private:
  Write write_;
};

}  // namespace combiner
