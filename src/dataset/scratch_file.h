// Temporary storage on disk.
#pragma once

#include <cstdint>
#include <filesystem>
#include <span>

namespace combiner {

// Folder for large temporary files: $TMPDIR or, without it, /var/tmp. Unlike /tmp, /var/tmp is
// never held in memory.
std::filesystem::path scratch_folder();

// A file without a name. It disappears with this object, however the process ends. Every failure is
// an Error that names the folder and the system's reason.
class ScratchFile {
 public:
  explicit ScratchFile(std::filesystem::path folder);
  ~ScratchFile();
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;

  void write(uint64_t offset, std::span<const uint8_t> bytes);

  // Reads the bytes at `offset`, all of which must have been written. Thread-safe.
  void read(uint64_t offset, std::span<uint8_t> bytes) const;

  // For libraries that read the file themselves.
  int descriptor() const { return descriptor_; }

 private:
  [[noreturn]] void fail(const char* action) const;

  std::filesystem::path folder_;
  int descriptor_ = -1;
};

}  // namespace combiner
