#include "base/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "base/parse_number.h"
#include "combiner/error.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

constexpr mode_t kDefaultMode = 0666;  // less what the process's umask takes away

fs::path folder_of(const fs::path& path) {
  return path.has_parent_path() ? path.parent_path() : fs::path(".");
}

// The name of a file until it is finished.
std::string meanwhile_name(const std::string& name) {
  constexpr std::string_view kEnding = ".combiner";
  return fmt::format(".{}{}", name.substr(0, kLongestFileName - 1 - kEnding.size()), kEnding);
}

// Whether something is mounted on the file itself, as containers do. It can't be renamed onto.
bool is_mounted(const fs::path& path) {
  struct statx status = {};
  return ::statx(AT_FDCWD, path.c_str(), 0, 0, &status) == 0 &&
         (status.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

// Whether the process's effective user may. Only where that is another than its real one, the newer
// system call is needed, which old containers forbid.
bool may_write(const fs::path& path) {
  const bool is_real = ::getuid() == ::geteuid() && ::getgid() == ::getegid();
  return ::faccessat(AT_FDCWD, path.c_str(), W_OK, is_real ? 0 : AT_EACCESS) == 0;
}

// Whether this process may not rename onto the file, because its folder is like /tmp, where only a
// file's owner may replace it.
bool is_another_users(const fs::path& path, const struct stat& file) {
  struct stat folder = {};
  const uid_t user = ::geteuid();
  return user != 0 && file.st_uid != user && ::stat(folder_of(path).c_str(), &folder) == 0 &&
         (folder.st_mode & S_ISVTX) != 0 && folder.st_uid != user;
}

// A nameless file gets its name through here.
std::string path_of(int descriptor) { return fmt::format("/proc/self/fd/{}", descriptor); }

// Waits until it is on the disk, and returns whether it is. Devices, pipes and the folders of some
// file systems can't be asked for that.
bool reaches_disk(int descriptor) {
  return ::fsync(descriptor) == 0 || errno == EINVAL || errno == EROFS || errno == ENOTSUP;
}

// A folder's entries reach the disk on their own. Not every folder can be opened.
bool folder_reaches_disk(const fs::path& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) return true;
  const bool reaches = reaches_disk(descriptor);
  const int error = errno;
  ::close(descriptor);
  errno = error;
  return reaches;
}

// Whether opening a file failed because its folder takes no new ones from this process.
bool is_forbidden(int error) { return error == EACCES || error == EPERM || error == EROFS; }

}  // namespace

int open_descriptor(const fs::path& path) {
  std::error_code ignored;  // a folder that can't be examined is not that one
  if (!fs::equivalent(folder_of(path), "/proc/self/fd", ignored)) return -1;
  return parse_number<int>(path.filename().string()).value_or(-1);
}

fs::path follow_links(fs::path path) {
  constexpr int kMostLinks = 40;  // as many as Linux follows
  std::error_code error;
  for (int i = 0; i < kMostLinks && fs::is_symlink(fs::symlink_status(path, error)) &&
                  open_descriptor(path) < 0;
       ++i) {
    const fs::path target = fs::read_symlink(path, error);
    if (error) break;  // then opening it fails with a message
    path = target.is_absolute() ? target : path.parent_path() / target;
  }
  return path;
}

void flush_to_disk(const fs::path& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  const bool reaches =
      descriptor >= 0 && reaches_disk(descriptor) && folder_reaches_disk(folder_of(path));
  const int error = errno;
  if (descriptor >= 0) ::close(descriptor);
  if (!reaches)
    throw Error(fmt::format("{}: can't write the file: {}", path.string(),
                            std::generic_category().message(error)));
}

OutputFile::OutputFile(fs::path path) : path_(std::move(path)), target_(follow_links(path_)) {
  if (!path_.has_filename())
    throw Error(fmt::format("\"{}\" is not the name of a file", path_.string()));
  if (const int open = open_descriptor(target_); open >= 0) {
    way_ = Way::in_place;
    const int mode = ::fcntl(open, F_GETFL);
    if (mode >= 0 && (mode & O_ACCMODE) == O_RDONLY)
      errno = EBADF;
    else
      descriptor_ = ::fcntl(open, F_DUPFD_CLOEXEC, 0);
    if (descriptor_ < 0) fail("open");
    return;
  }
  meanwhile_ = folder_of(target_) / meanwhile_name(target_.filename().string());
  struct stat status = {};
  const bool exists = ::stat(target_.c_str(), &status) == 0;
  if (!exists && errno != ENOENT) fail("create");  // such as a name that is too long
  if (exists && S_ISDIR(status.st_mode))
    throw Error(fmt::format("{}: is a folder; expected the name of a file", path_.string()));
  if (exists && !S_ISREG(status.st_mode)) {
    way_ = Way::in_place;
    descriptor_ = ::open(target_.c_str(), O_WRONLY | O_CLOEXEC);
    if (descriptor_ < 0) fail("open");
    return;
  }
  if (exists && !may_write(target_)) fail("open");
  if (!exists || !(is_mounted(target_) || is_another_users(target_, status))) {
    open_to_replace(exists ? status.st_mode : kDefaultMode);
    if (descriptor_ >= 0) return;
    if (!exists || !is_forbidden(errno)) fail("create");
  }
  way_ = Way::at_the_end;
  descriptor_ = ::open(target_.c_str(), O_WRONLY | O_CLOEXEC);
  if (descriptor_ < 0) fail("open");
}

OutputFile::~OutputFile() {
  if (descriptor_ < 0) return;
  ::close(descriptor_);
  if (way_ == Way::named) ::unlink(meanwhile_.c_str());
}

// Leaves descriptor_ negative if no file can be made beside the target.
void OutputFile::open_to_replace(mode_t mode) {
  const fs::path folder = folder_of(target_);
  descriptor_ = ::open(folder.c_str(), O_WRONLY | O_TMPFILE | O_CLOEXEC, kDefaultMode);
  if (descriptor_ >= 0 && ::access(path_of(descriptor_).c_str(), F_OK) != 0) {
    ::close(std::exchange(descriptor_, -1));  // there is no /proc
    errno = EOPNOTSUPP;
  }
  if (descriptor_ < 0 && (errno == EOPNOTSUPP || errno == EISDIR || errno == ENOENT)) {
    way_ = Way::named;
    descriptor_ =
        ::open(meanwhile_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kDefaultMode);
  }
  if (descriptor_ >= 0 && mode != kDefaultMode) ::fchmod(descriptor_, mode & 07777);
}

void OutputFile::write(std::span<const std::byte> bytes) {
  if (way_ == Way::at_the_end)
    collected_.insert(collected_.end(), bytes.begin(), bytes.end());
  else
    write_to_descriptor(bytes);
}

void OutputFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void OutputFile::write_to_descriptor(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor_, bytes.data(), bytes.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      fail("write");
    }
    bytes = bytes.subspan(static_cast<size_t>(written));
  }
}

void OutputFile::commit() {
  if (way_ == Way::at_the_end) write_collected();
  if (!reaches_disk(descriptor_)) fail("write");
  if (way_ == Way::nameless || way_ == Way::named) put_in_place();
  if (::close(std::exchange(descriptor_, -1)) != 0) fail("write");
}

void OutputFile::write_collected() {
  // A full disk should be found out before anything is overwritten. Not every file system can tell.
  const int error = ::posix_fallocate(descriptor_, 0, static_cast<off_t>(collected_.size()));
  if (error == ENOSPC || error == EFBIG) {
    errno = error;
    fail("write");
  }
  write_to_descriptor(collected_);
  if (::ftruncate(descriptor_, static_cast<off_t>(collected_.size())) != 0) fail("write");
}

void OutputFile::put_in_place() {
  if (way_ == Way::nameless) {
    const auto name_it = [&] {
      return ::linkat(AT_FDCWD, path_of(descriptor_).c_str(), AT_FDCWD, meanwhile_.c_str(),
                      AT_SYMLINK_FOLLOW) == 0;
    };
    if (!name_it() && (errno != EEXIST || ::unlink(meanwhile_.c_str()) != 0 || !name_it()))
      fail("put in place");
    way_ = Way::named;  // the destructor removes it if renaming fails
  }
  if (::rename(meanwhile_.c_str(), target_.c_str()) != 0) fail("put in place");
  way_ = Way::in_place;
  if (!folder_reaches_disk(folder_of(target_))) fail("put in place");
}

void OutputFile::fail(std::string_view action) const {
  throw Error(fmt::format("{}: can't {} the file: {}", path_.string(), action,
                          std::generic_category().message(errno)));
}

}  // namespace combiner
