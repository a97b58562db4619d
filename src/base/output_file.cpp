#include "base/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "combiner/error.h"

namespace combiner {

OutputFile::OutputFile(std::filesystem::path path) : path_(std::move(path)), written_path_(path_) {
  if (!path_.has_filename()) {
    throw Error(fmt::format("\"{}\" is not the name of a file", path_.string()));
  }
  std::error_code ignored;  // if status() fails, so will open()
  const std::filesystem::file_status status = std::filesystem::status(path_, ignored);
  if (is_directory(status)) {
    throw Error(fmt::format("{}: is a folder; expected the name of a file", path_.string()));
  }
  // The process ID keeps two programs that write the same file apart.
  if (!exists(status) || is_regular_file(status)) {
    written_path_ += fmt::format(".{}.tmp", ::getpid());
  }
  descriptor_ = ::open(written_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail("create");
}

OutputFile::~OutputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!committed_ && written_path_ != path_) ::unlink(written_path_.c_str());
}

void OutputFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      fail("write");
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

void OutputFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void OutputFile::commit() {
  if (::close(std::exchange(descriptor_, -1)) != 0) fail("write");
  if (written_path_ != path_ && ::rename(written_path_.c_str(), path_.c_str()) != 0) {
    fail("put in place");
  }
  committed_ = true;
}

void OutputFile::fail(std::string_view action) const {
  throw Error(fmt::format("{}: can't {} the file: {}", path_.string(), action,
                          std::generic_category().message(errno)));
}

}  // namespace combiner
