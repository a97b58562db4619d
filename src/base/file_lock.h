// Keeps two runs from writing the same file.
#pragma once

#include <filesystem>

namespace combiner {

// A lock on a file that this process writes again and again, by OutputFile: each time it is another
// file under the same name. The lock ends with the process, however that ends.
class FileLock {
 public:
  FileLock() = default;
  ~FileLock();
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  // Locks the file that is there now, and lets go of the one before. Does nothing if there is none,
  // or if its file system has no locks. Throws Error if another process has locked it.
  void take(const std::filesystem::path& path);

 private:
  int descriptor_ = -1;
};

}  // namespace combiner
