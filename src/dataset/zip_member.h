// Random access to one file inside a zip archive.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "dataset/scratch_file.h"
#include "dataset/zip_archive.h"

struct zip_file;  // from libzip

namespace combiner {

// A stored member is read in place. A compressed member can only be read from front to back, so it
// is decompressed into a ScratchFile as far as has been requested, and read from there. Reading in
// order costs nothing beyond the bytes read; a jump ahead also decompresses the bytes in between.
// Memory use is small for a member of any size; the disk needs room for the whole decompressed
// member.
//
// The checksum of a compressed member is verified when its end is reached. That of a stored member
// is never verified, because this would require reading all of it.
class ZipMember {
 public:
  // Throws Error if `archive` is not a zip file (zip64 is supported) or has no such member.
  ZipMember(const std::filesystem::path& archive, const std::string& name,
            const std::filesystem::path& scratch);

  // "FILE: MEMBER", for error messages.
  const std::string& where() const { return where_; }

  // The decompressed size in bytes, as the archive states it.
  uint64_t size() const { return size_; }

  // Reads the bytes at `offset`; the range must lie within size(). Throws Error if they can't be
  // read or are damaged, or if the disk has no room to decompress them. Thread-safe.
  void read(uint64_t offset, std::span<uint8_t> bytes) const;

 private:
  struct Close {
    void operator()(zip_file* member) const;
  };

  void read_stored(uint64_t offset, std::span<uint8_t> bytes) const;
  void decompress_to(uint64_t end) const;
  size_t next(std::span<uint8_t> bytes) const;
  [[noreturn]] void fail(uint64_t offset, const std::string& reason) const;

  std::string where_;
  uint64_t size_ = 0;
  ZipArchive archive_;
  std::unique_ptr<zip_file, Close> member_;
  mutable std::mutex mutex_;  // guards the archive's position and the decompressed part
  mutable std::optional<ScratchFile> decompressed_;  // unless the member is stored
  mutable uint64_t decompressed_bytes_ = 0;
};

}  // namespace combiner
