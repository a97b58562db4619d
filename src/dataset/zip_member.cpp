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

constexpr size_t kChunkBytes = size_t{1} << 20;

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

bool has_member(const fs::path& archive, const std::string& name) {
  return zip_name_locate(open_zip(archive).get(), name.c_str(), 0) >= 0;
}

void ZipMember::Close::operator()(zip_file* member) const { zip_fclose(member); }

ZipMember::ZipMember(const fs::path& archive, const std::string& name, const fs::path& scratch,
                     const CheckingFile& checking)
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
  read_through(archive, checking);
}

void ZipMember::read(uint64_t offset, std::span<uint8_t> bytes) const {
  assert(offset <= size_ && bytes.size() <= size_ - offset);
  if (decompressed_) return decompressed_->read(offset, bytes);
  if (bytes.empty()) return;  // libzip crashes on seeking in an empty member
  const std::lock_guard lock(mutex_);
  if (zip_fseek(member_.get(), static_cast<zip_int64_t>(offset), SEEK_SET) != 0)
    fail(offset, zip_file_strerror(member_.get()));
  while (!bytes.empty()) {
    const size_t got = next(offset, bytes);
    if (got == 0) fail(offset, "the archive ends there");
    offset += got;
    bytes = bytes.subspan(got);
  }
}

// Reads from front to back. libzip verifies the checksum when it is asked to read past the end.
void ZipMember::read_through(const fs::path& archive, const CheckingFile& checking) {
  std::vector<uint8_t> chunk(kChunkBytes);
  uint64_t offset = 0;
  while (const size_t got = next(offset, chunk)) {
    if (got > size_ - offset) fail(size_, "it goes on there; expected the end");
    if (decompressed_) decompressed_->write(offset, std::span(chunk).first(got));
    offset += got;
    if (checking) checking(archive, static_cast<int64_t>(offset), static_cast<int64_t>(size_));
  }
  if (offset != size_) fail(offset, fmt::format("it ends there; expected {} bytes", size_));
}

// Reads on from the archive's current position, which is `offset`. Returns the number of bytes, 0
// at the member's end.
size_t ZipMember::next(uint64_t offset, std::span<uint8_t> bytes) const {
  const zip_int64_t got = zip_fread(member_.get(), bytes.data(), bytes.size());
  if (got >= 0) return static_cast<size_t>(got);
  if (zip_error_code_zip(zip_file_get_error(member_.get())) == ZIP_ER_CRC)
    throw Error(
        fmt::format("{}: is damaged: its bytes do not have the checksum (CRC-32) that the archive "
                    "states; get the file again",
                    where_));
  fail(offset, zip_file_strerror(member_.get()));
}

void ZipMember::fail(uint64_t offset, const std::string& reason) const {
  throw Error(
      fmt::format("{}: can't be read from byte {} of {} on: {}", where_, offset, size_, reason));
}

}  // namespace combiner
