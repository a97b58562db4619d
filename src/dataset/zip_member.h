// One file inside a zip archive, read at any place.
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

struct zip_file;  // libzip's

namespace combiner {

// A stored member is read where it lies. A compressed one can be read from front to back only, so
// it is decompressed into a ScratchFile as far as it has been asked for, and read from there: a run
// in order costs no more than what it reads, a jump ahead what lies between, and memory stays small
// whatever the size. Needs as much disk as the member is large.
//
// The checksum of a compressed member is verified when its end is reached, that of a stored member
// never: it would take reading all of it.
class ZipMember {
 public:
  // Error if `archive` isn't a zip file (zip64 too) or has no such member.
  ZipMember(const std::filesystem::path& archive, const std::string& name,
            const std::filesystem::path& scratch);

  // "FILE: MEMBER", for messages.
  const std::string& where() const { return where_; }

  // Bytes, decompressed, as the archive says.
  uint64_t size() const { return size_; }

  // The bytes at `offset`, which with them lies within size(). Error if they can't be read, are
  // damaged, or there is no room for them. Thread-safe.
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
  mutable std::mutex mutex_;                         // of reading on in the archive
  mutable std::optional<ScratchFile> decompressed_;  // if it isn't stored
  mutable uint64_t decompressed_bytes_ = 0;
};

}  // namespace combiner
