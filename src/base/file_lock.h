// Keeps two runs from writing the same file.
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>

#include "combiner/error.h"

namespace combiner {

// Reports that a file is no longer the one that was locked.
class FileReplaced : public Error {
 public:
  using Error::Error;
};

// A lock on a file that this process writes again and again, by OutputFile: mostly it is then
// another file under the same name. The lock ends with the process, however that ends.
class FileLock {
 public:
  FileLock() = default;
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  // Locks the file that is there now, and lets go of the one before. Does nothing if there is none,
  // or if its file system has no locks. Throws Error if another process has locked it.
  void take(const std::filesystem::path& path);

  // Throws FileReplaced if the file there now is not the one that was there when the lock was
  // taken. There may be none.
  void require_same(const std::filesystem::path& path) const;

 private:
  struct Identity {
    dev_t device;
    ino_t inode;
    bool operator==(const Identity&) const = default;
  };
  std::optional<Identity> file_;  // nullopt if there was none
  int descriptor_ = -1;
};

}  // namespace combiner
