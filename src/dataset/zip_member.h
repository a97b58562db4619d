// Random access to one file inside a zip archive.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>

#include "combiner/dataset.h"
#include "dataset/scratch_file.h"
#include "dataset/zip_archive.h"

struct zip_file;  // from libzip

namespace combiner {

// Whether the archive has a member of this name. Throws Error if it can't be read.
bool has_member(const std::filesystem::path& archive, const std::string& name);

// The constructor reads the whole member once and verifies its checksum, so that no damaged byte is
// ever used. This takes about as long as the disk needs, or the decompression.
//
// A stored member is then read in place. A compressed member can only be read from front to back,
// so the constructor decompresses it into a ScratchFile. Memory use is small for a member of any
// size; the disk needs room for the whole decompressed member.
class ZipMember {
 public:
  // Throws Error if `archive` is not a zip file (zip64 is supported) or has no such member, if the
  // member is damaged, or if the disk has no room to decompress it.
  ZipMember(const std::filesystem::path& archive, const std::string& name,
            const std::filesystem::path& scratch, const CheckingFile& checking = {});

  // "FILE: MEMBER", for error messages.
  const std::string& where() const { return where_; }

  // The decompressed size in bytes, as the archive states it.
  uint64_t size() const { return size_; }

  // Reads the bytes at `offset`; the range must lie within size(). Throws Error if they can't be
  // read. Thread-safe.
  void read(uint64_t offset, std::span<uint8_t> bytes) const;

 private:
  struct Close {
    void operator()(zip_file* member) const;
  };

  void read_through(const std::filesystem::path& archive, const CheckingFile& checking);
  size_t next(uint64_t offset, std::span<uint8_t> bytes) const;
  [[noreturn]] void fail(uint64_t offset, const std::string& reason) const;

  std::string where_;
  uint64_t size_ = 0;
  ZipArchive archive_;
  std::unique_ptr<zip_file, Close> member_;
  mutable std::mutex mutex_;                 // guards the archive's position
  std::optional<ScratchFile> decompressed_;  // unless the member is stored
};

}  // namespace combiner
