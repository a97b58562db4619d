#include "base/file_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace combiner {

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void FileLock::take(const std::filesystem::path& path) {
  struct stat status = {};
  // Others than regular files are not replaced.
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return;
  if (file_ == Identity{status.st_dev, status.st_ino}) return;
  // NFS locks only what is open for writing.
  int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0) descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool is_others =
      descriptor >= 0 && ::flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  if (is_others) {
    ::close(descriptor);
    throw Error(
        fmt::format("{}: is being written by another run; wait for its end, or write elsewhere",
                    path.string()));
  }
  const int before = std::exchange(descriptor_, descriptor);
  if (before >= 0) ::close(before);
  // Opening may have made it another file, as overlayfs does.
  if (descriptor >= 0) ::fstat(descriptor, &status);
  file_ = {status.st_dev, status.st_ino};
}

void FileLock::require_same(const std::filesystem::path& path) const {
  struct stat status = {};
  if (::stat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) return;
  if (file_ != Identity{status.st_dev, status.st_ino})
    throw FileReplaced(
        fmt::format("{}: is not the file that was there before; another run, or somebody, has "
                    "replaced it, so it is left as it is",
                    path.string()));
}

}  // namespace combiner
