// A file that appears as a whole or not at all.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

namespace combiner {

// Writes a temporary file beside the final path and renames it when it is complete; until then, an
// existing file stays as it is. If the path exists and is not a regular file (a device, a pipe), it
// is written in place. Every failure throws an Error with the path and the system's reason.
class OutputFile {
 public:
  explicit OutputFile(std::filesystem::path path);
  ~OutputFile();  // without a commit, removes the temporary file
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);

  // Closes the file and moves it to its path. Nothing may be written afterwards.
  void commit();

 private:
  [[noreturn]] void fail(std::string_view action) const;

  std::filesystem::path path_;
  std::filesystem::path written_path_;  // equal to path_ when written in place
  int descriptor_ = -1;
  bool committed_ = false;
};

}  // namespace combiner
