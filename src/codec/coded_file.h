// The file format of compressed pictures, specified in docs/codec.md. This part knows streams of
// bytes, not what they mean.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "combiner/precision.h"

namespace combiner {

// What decoding needs to know first.
struct CodedHeader {
  std::string model;   // its name, for messages
  std::string sha256;  // of the weights file, in hexadecimal
  Precision precision = Precision::f32;
  std::string kernels;  // kernels_in_use() where it was encoded
  int width = 0;        // of the model's images, the size of a stream's
  int height = 0;
};

struct CodedPicture {
  int width = 0;
  int height = 0;
  std::string name;  // relative, with slashes: "class/picture.png"; empty if pictures have none
  std::optional<int64_t> label;  // 0 or more
};

// The number of streams of a picture: its tiles of the model's size, the last of a row or column
// not full.
int64_t streams_of(const CodedPicture& picture, const CodedHeader& header);

// Returns why a name can't be in a file; empty if it can: names must stay inside the folder that
// they are unpacked to, and be no longer than a path can be.
std::string fault_of_name(const std::string& name);

// Throws Error if the pictures can't be in one file: a name has a fault or occurs twice, or only
// some have a name or a label.
void check_pictures(std::span<const CodedPicture> pictures);

// Whether the file begins as one of this format does. False if it can't be read.
bool is_coded_file(const std::filesystem::path& path);

// Streams have their checksum by groups of this many.
inline constexpr int64_t kStreamsInGroup = 16;

// Writes the format front to back.
class CodedFileWriter {
 public:
  using Write = std::function<void(std::span<const uint8_t>)>;

  CodedFileWriter(const CodedHeader& header, Write write);
  // The streams picture by picture.
  void add(std::vector<uint8_t> stream);
  // Ends the file. The streams must be those of the pictures. Throws as check_pictures does.
  void finish(std::span<const CodedPicture> pictures);

 private:
  void write_group();

  CodedHeader header_;
  Write write_;
  std::vector<std::vector<uint8_t>> group_;
  std::vector<uint64_t> group_sizes_;
  int64_t streams_ = 0;
};

// A file's parts. Everything but the streams is checked when it is opened.
class CodedFile {
 public:
  // `bytes` is the whole file, which must outlive this object; `source` names it in messages.
  // Throws Error if it is no such file, of an unknown version, damaged, cut off or followed by
  // something, and TooLarge, before it takes memory for them, if it holds more than `most`
  // pictures.
  CodedFile(std::span<const uint8_t> bytes, std::string source, uint64_t most = UINT64_MAX);

  const std::string& source() const { return source_; }
  const CodedHeader& header() const { return header_; }
  const std::vector<CodedPicture>& pictures() const { return pictures_; }
  int64_t streams() const { return streams_; }
  // The first of a picture's streams, streams_of() in number.
  int64_t first_stream(size_t picture) const { return first_streams_[picture]; }

  // A stream, if its group's checksum is right. Not thread-safe, as the next.
  std::optional<std::span<const uint8_t>> stream(int64_t index);
  // Whether the checksums of all its streams' groups are right.
  bool is_whole(size_t picture);

 private:
  size_t read_header();
  void read_tables(size_t streams_begin, uint64_t most);
  void open_group(size_t group);
  [[noreturn]] void fail(const std::string& why) const;

  std::span<const uint8_t> bytes_;
  std::string source_;
  CodedHeader header_;
  std::vector<CodedPicture> pictures_;
  std::vector<int64_t> first_streams_;
  int64_t streams_ = 0;
  std::vector<std::span<const uint8_t>> groups_;
  // The group that was read last.
  std::optional<size_t> open_;
  std::vector<std::span<const uint8_t>> opened_;  // none if its checksum is wrong
};

// Throws Error unless the file was made with the model that has this SHA-256 sum, and with the
// kernels that are in use here. `model` names the model at hand; `hint` says how to name another.
void check_model(const CodedFile& file, const std::string& model, const std::string& sha256,
                 const std::string& hint);

}  // namespace combiner
