#include "dataset/npz_writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdio.h>
#include <unistd.h>
#include <zip.h>

#include <array>
#include <bit>
#include <cassert>
#include <string>
#include <string_view>
#include <utility>

#include "base/output_file.h"
#include "combiner/error.h"
#include "dataset/npy_header.h"
#include "dataset/planes.h"
#include "dataset/zip_archive.h"

namespace combiner {
namespace fs = std::filesystem;

namespace {

std::span<const uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

// An archive that zip_close has yet to write.
class NewArchive {
 public:
  NewArchive(const fs::path& path, NpzCompression compression)
      : path_(path), compression_(compression), archive_(create_zip(path)) {}

  zip* get() const { return archive_.get(); }

  // Takes ownership of the source.
  void add(const char* name, zip_source_t* source) {
    if (source == nullptr) fail(zip_strerror(get()));
    const zip_int64_t index = zip_file_add(get(), name, source, ZIP_FL_ENC_UTF_8);
    if (index < 0) {
      const std::string reason = zip_strerror(get());
      zip_source_free(source);
      fail(reason);
    }
    const auto member = static_cast<zip_uint64_t>(index);
    const auto method = compression_ == NpzCompression::stored ? ZIP_CM_STORE : ZIP_CM_DEFLATE;
    constexpr zip_uint16_t kMidnight = 0, kFirstOfJanuary1980 = 1 << 5 | 1;
    if (zip_set_file_compression(get(), member, method, 0) != 0 ||
        zip_file_set_dostime(get(), member, kMidnight, kFirstOfJanuary1980, 0) != 0)
      fail(zip_strerror(get()));
  }

  // Returns false if cancelled.
  bool write() {
    if (zip_close(get()) == 0) {
      static_cast<void>(archive_.release());  // freed by zip_close
      return true;
    }
    if (zip_error_code_zip(zip_get_error(get())) == ZIP_ER_CANCELLED) return false;
    fail(zip_strerror(get()));
  }

 private:
  [[noreturn]] void fail(const std::string& reason) const {
    throw Error(fmt::format("{}: can't write the file: {}", path_.string(), reason));
  }

  const fs::path& path_;
  NpzCompression compression_;
  ZipArchive archive_;
};

// A libzip source that reads the file; null if the system has no descriptor or memory left.
zip_source_t* source_of(zip* archive, const ScratchFile& file) {
  const int descriptor = ::fcntl(file.descriptor(), F_DUPFD_CLOEXEC, 0);
  if (descriptor < 0) return nullptr;
  FILE* const stream = ::fdopen(descriptor, "rb");
  if (stream == nullptr) {
    ::close(descriptor);
    return nullptr;
  }
  zip_source_t* const source = zip_source_filep(archive, stream, 0, -1);
  if (source == nullptr) ::fclose(stream);
  return source;
}

}  // namespace

NpzWriter::NpzWriter(fs::path path, int size, NpzCompression compression)
    : path_(follow_links(std::move(path))),
      compression_(compression),
      data_(path_.parent_path()),
      planes_(size_t{3} * size * size) {
  // libzip renames a new file to this path, whatever is there. A pipe would wait to be opened.
  std::error_code ignored;  // what can't be examined can't be written either
  if (fs::is_other(path_, ignored) || !OutputFile(path_).replaces())
    throw Error(
        fmt::format("{}: can't be replaced by a new file, which is the only way in which an npz is "
                    "written; write elsewhere",
                    path_.string()));
}

void NpzWriter::add(std::span<const uint8_t> pixels, int64_t label) {
  assert(pixels.size() == planes_.size());
  pixels_to_planes(pixels, planes_);
  data_.write(kWrittenNpyHeaderBytes + labels_.size() * planes_.size(), planes_);
  labels_.push_back(label);
}

bool NpzWriter::finish(const Cancel& cancel) {
  static_assert(std::endian::native == std::endian::little, "labels are written as they are");
  const std::array shape = {records(), static_cast<int64_t>(planes_.size())};
  data_.write(0, bytes_of(make_npy_header("|u1", shape)));
  std::string labels = make_npy_header("<i8", std::span(shape).first(1));
  labels.append(reinterpret_cast<const char*>(labels_.data()), labels_.size() * sizeof(int64_t));

  NewArchive archive(path_, compression_);
  archive.add("data.npy", source_of(archive.get(), data_));
  archive.add("labels.npy", zip_source_buffer(archive.get(), labels.data(), labels.size(), 0));
  const auto ask = [](zip*, void* cancel) {
    return static_cast<const Cancel*>(cancel)->asked() ? 1 : 0;
  };
  zip_register_cancel_callback_with_state(archive.get(), ask, nullptr,
                                          const_cast<Cancel*>(&cancel));
  if (!archive.write()) return false;
  flush_to_disk(path_);
  return true;
}

}  // namespace combiner
