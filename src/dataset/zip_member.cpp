#include "dataset/zip_member.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <zip.h>

#include <algorithm>
#include <cassert>
#include <string>
#include <vector>

#include "combiner/error.h"

namespace combiner {
namespace fs = std::filesystem;

namespace {

constexpr size_t kChunkBytes = size_t{1} << 16;

std::string member_names(zip* archive) {
  constexpr zip_int64_t kMost = 10;
  const zip_int64_t count = zip_get_num_entries(archive, 0);
  std::vector<std::string> names;
  for (zip_int64_t i = 0; i < std::min(count, kMost); ++i) {
    const char* const name = zip_get_name(archive, static_cast<zip_uint64_t>(i), 0);
    names.emplace_back(name != nullptr ? name : "?");
  }
  if (count > kMost) names.emplace_back("...");
  return names.empty() ? "no members at all" : fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

void ZipMember::Close::operator()(zip_file* member) const { zip_fclose(member); }

ZipMember::ZipMember(const fs::path& archive, const std::string& name, const fs::path& scratch)
    : where_(fmt::format("{}: {}", archive.string(), name)), archive_(open_zip(archive)) {
  const zip_int64_t index = zip_name_locate(archive_.get(), name.c_str(), 0);
  if (index < 0)
    throw Error(fmt::format("{}: has no member {}; it has {}", archive.string(), name,
                            member_names(archive_.get())));
  zip_stat_t stat;
  constexpr zip_uint64_t kNeeded = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
  if (zip_stat_index(archive_.get(), static_cast<zip_uint64_t>(index), 0, &stat) != 0 ||
      (stat.valid & kNeeded) != kNeeded)
    throw Error(fmt::format("{}: can't be found: {}", where_, zip_strerror(archive_.get())));
  member_.reset(zip_fopen_index(archive_.get(), static_cast<zip_uint64_t>(index), 0));
  if (!member_)
    throw Error(fmt::format("{}: can't be opened: {}", where_, zip_strerror(archive_.get())));
  size_ = stat.size;
  if (stat.comp_method != ZIP_CM_STORE) {
    decompressed_.emplace(scratch);
  } else if (stat.comp_size != size_) {
    throw Error(fmt::format("{}: is stored as {} bytes; expected {}, its size", where_,
                            stat.comp_size, size_));
  }
}

void ZipMember::read(uint64_t offset, std::span<uint8_t> bytes) const {
  assert(offset <= size_ && bytes.size() <= size_ - offset);
  if (bytes.empty()) return;  // libzip crashes on seeking in an empty member
  const std::lock_guard lock(mutex_);
  if (!decompressed_) return read_stored(offset, bytes);
  decompress_to(offset + bytes.size());
  decompressed_->read(offset, bytes);
}

void ZipMember::read_stored(uint64_t offset, std::span<uint8_t> bytes) const {
  if (zip_fseek(member_.get(), static_cast<zip_int64_t>(offset), SEEK_SET) != 0)
    fail(offset, zip_file_strerror(member_.get()));
  while (!bytes.empty()) {
    const size_t got = next(bytes);
    if (got == 0) fail(offset, "the archive ends there");
    offset += got;
    bytes = bytes.subspan(got);
  }
}

void ZipMember::decompress_to(uint64_t end) const {
  std::vector<uint8_t> chunk(decompressed_bytes_ < end ? kChunkBytes : 0);
  while (decompressed_bytes_ < end) {
    const uint64_t left = size_ - decompressed_bytes_;
    const size_t got = next(std::span(chunk).first(std::min<uint64_t>(kChunkBytes, left)));
    if (got == 0) fail(decompressed_bytes_, fmt::format("it ends there; expected {} bytes", size_));
    decompressed_->write(decompressed_bytes_, std::span(chunk).first(got));
    // libzip only verifies the checksum when it is asked to read past the end.
    if (got == left && next(std::span(chunk).first(1)) != 0)
      fail(size_, "it goes on there; expected the end");
    decompressed_bytes_ += got;
  }
}

// Reads on from the archive's current position. Returns the number of bytes, 0 at the member's end.
size_t ZipMember::next(std::span<uint8_t> bytes) const {
  const zip_int64_t got = zip_fread(member_.get(), bytes.data(), bytes.size());
  if (got < 0) fail(decompressed_bytes_, zip_file_strerror(member_.get()));
  return static_cast<size_t>(got);
}

void ZipMember::fail(uint64_t offset, const std::string& reason) const {
  throw Error(
      fmt::format("{}: can't be read from byte {} of {} on: {}", where_, offset, size_, reason));
}

}  // namespace combiner
