#include "base/file_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "combiner/error.h"

namespace combiner {
namespace {

[[noreturn]] void throw_others(const std::filesystem::path& path) {
  throw Error(fmt::format(
      "{}: is being written by another run; wait for its end, or write elsewhere", path.string()));
}

}  // namespace

// Of a regular file: others are not written again and again.
std::optional<FileLock::Identity> FileLock::identity(const std::filesystem::path& path) {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return Identity{status.st_dev, status.st_ino};
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void FileLock::take(const std::filesystem::path& path) {
  const std::optional<Identity> found = identity(path);
  const bool is_locked = found && found == file_ && descriptor_ >= 0;
  if (!found || is_locked) return;
  file_ = found;
  // NFS locks only what is open for writing.
  int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0) descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return;
  const bool is_others = ::flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  const int before = std::exchange(descriptor_, is_others ? -1 : descriptor);
  if (before >= 0) ::close(before);
  if (!is_others) return;
  ::close(descriptor);
  throw_others(path);
}

void FileLock::require_same(const std::filesystem::path& path) const {
  const std::optional<Identity> found = identity(path);
  if (found && found != file_) throw_others(path);
}

}  // namespace combiner
