#include "base/file_lock.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "combiner/error.h"

namespace combiner {

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void FileLock::take(const std::filesystem::path& path) {
  std::error_code ignored;  // a file that can't be examined can't be locked
  if (!std::filesystem::is_regular_file(path, ignored)) return;
  // NFS locks only what is open for writing.
  int descriptor = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
  if (descriptor < 0) descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return;
  const bool is_others = ::flock(descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK;
  const int before = std::exchange(descriptor_, is_others ? -1 : descriptor);
  if (before >= 0) ::close(before);
  if (!is_others) return;
  ::close(descriptor);
  throw Error(fmt::format(
      "{}: is being written by another run; wait for its end, or write elsewhere", path.string()));
}

}  // namespace combiner
