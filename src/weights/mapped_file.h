// A file's bytes, read through memory mapping.
#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace combiner {

// Read-only; pages come in when first touched. The file must not be cut short while mapped, so
// replace files by renaming (OutputFile does).
class MappedFile {
 public:
  // Throws Error if the path is not a regular file that can be read.
  explicit MappedFile(const std::filesystem::path& path);

  // Valid as long as this object, or the one it was moved to, lives.
  std::span<const std::byte> bytes() const { return {data_.get(), data_.get_deleter().size}; }

 private:
  struct Unmap {
    size_t size;
    void operator()(const std::byte* data) const;
  };
  std::unique_ptr<const std::byte, Unmap> data_;
};

}  // namespace combiner
