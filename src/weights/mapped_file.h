// Memory-mapped files.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace combiner {

// Read-only; the system loads pages when they are first touched. The file must not be truncated
// while it is mapped, so files must be replaced by renaming, as OutputFile does; reading what is no
// longer there raises SIGBUS.
class MappedFile {
 public:
  // Throws Error if the path is not a readable regular file.
  explicit MappedFile(const std::filesystem::path& path);

  // Valid for the lifetime of this object or of the object it was moved to.
  std::span<const std::byte> bytes() const { return {data_.get(), data_.get_deleter().size}; }

 private:
  struct Unmap {
    size_t size;
    void operator()(const std::byte* data) const;
  };
  std::unique_ptr<const std::byte, Unmap> data_;
};

}  // namespace combiner
