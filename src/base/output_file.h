// A file that appears as a whole or not at all.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace combiner {

// The most bytes that a file's or a folder's name has on most file systems.
inline constexpr size_t kLongestFileName = 255;

// Writes a file that has no name yet and gives it its name when it is complete; until then, an
// existing file stays as it is. Where the file system has no files without a name, it is called
// .NAME.combiner meanwhile, NAME cut short if it must be, and the next run replaces what a killed
// one has left. A link is followed, and the mode of an existing file kept. commit() returns when
// file and name are on the disk, so that a power cut loses neither.
//
// Two kinds of files are written in place: what is not a regular file (a device, a pipe, one of
// this process's open files such as /dev/stdout), as it comes; and what can't be replaced, because
// it is mounted or its folder does not allow that, at the end. A file without the permission
// to write it is left alone.
//
// Every failure throws an Error with the path and the system's reason.
class OutputFile {
 public:
  explicit OutputFile(std::filesystem::path path);
  ~OutputFile();  // without a commit, nothing is left of what is not written in place
  OutputFile(const OutputFile&) = delete;
  OutputFile& operator=(const OutputFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view text);

  // Puts the file in place. Nothing may be written afterwards.
  void commit();

  // Whether that gives a new file its name, rather than writes one in place.
  bool replaces() const { return way_ == Way::nameless || way_ == Way::named; }

 private:
  enum class Way { nameless, named, in_place, at_the_end };

  void open_to_replace(mode_t mode);
  void write_to_descriptor(std::span<const std::byte> bytes);
  void write_collected();
  void put_in_place();
  [[noreturn]] void fail(std::string_view action) const;

  std::filesystem::path path_;    // as given, for messages
  std::filesystem::path target_;  // where links lead
  std::filesystem::path meanwhile_;
  Way way_ = Way::nameless;
  int descriptor_ = -1;
  std::vector<std::byte> collected_;  // what is written at the end
};

// The descriptor N for the path /proc/self/fd/N, and -1 for others. Such a path also leads to a
// pipe or a file without a name.
int open_descriptor(const std::filesystem::path& path);

// Where a chain of links leads, also if there is nothing yet. Ends at what this process has open.
std::filesystem::path follow_links(std::filesystem::path path);

// Returns when a file that a library has written, and its name, are on the disk. Throws Error.
void flush_to_disk(const std::filesystem::path& path);

}  // namespace combiner
