// A file that appears whole or not at all.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace combiner {

// Written beside its final place under another name, and renamed when complete; whatever was there
// before stays until then. A path that exists and is no regular file (a device, a pipe) is written
// in place. Every failure is an Error with the path and the system's reason.
class OutputFile {
 public:
  explicit OutputFile(std::filesystem::path path);
  ~OutputFile();  // without a commit, removes what was written
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);

  // Closes the file and puts it in its place. Nothing may be written after it.
  void commit();

 private:
  [[noreturn]] void fail(std::string_view action) const;

  std::filesystem::path path_;
  std::filesystem::path written_path_;  // equal to path_ when written in place
  int descriptor_ = -1;
  bool committed_ = false;
};

}  // namespace combiner
