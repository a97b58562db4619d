#include "codec/coded_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <set>
#include <string_view>
#include <utility>

#include "base/file_kind.h"
#include "base/json.h"
#include "base/printable.h"
#include "base/read_file.h"
#include "base/round_up.h"
#include "codec/crc32c.h"
#include "codec/numbers.h"
#include "combiner/error.h"
#include "combiner/image.h"
#include "combiner/instruction_set.h"
#include "image/check_size.h"
#include "image/tiles.h"

namespace combiner {
namespace {

// As in PNG: a byte that is no text, and line ends that a transfer as text would change.
constexpr std::string_view kMagic =
    "\x89"
    "CMB\r\n\x1A\n";
constexpr std::string_view kEnd = "CMB\n";
constexpr int kVersion = 1;
constexpr size_t kMostHeader = 1 << 16;  // bytes
constexpr size_t kMostName = 4096;       // bytes, as Linux takes for a path
// Of the tables' size, their checksum and kEnd.
constexpr size_t kFooterSize = 8 + 4 + kEnd.size();

// What pictures have, as bits.
enum Has : uint64_t { kLabels = 1, kNames = 2, kSizes = 4 };

std::span<const uint8_t> bytes_of(std::string_view text) {
  return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

bool makes_sense(int64_t width, int64_t height) {
  return width >= 1 && height >= 1 && width <= kMaxImageBytes && height <= kMaxImageBytes &&
         width * height <= kMaxImageBytes / 3;
}

std::string text_of(std::span<const uint8_t> bytes) { return {bytes.begin(), bytes.end()}; }

void append(std::vector<uint8_t>& bytes, std::span<const uint8_t> more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

uint64_t features(std::span<const CodedPicture> pictures, const CodedHeader& header) {
  uint64_t has = 0;
  for (const CodedPicture& picture : pictures) {
    if (picture.label) has |= kLabels;
    if (!picture.name.empty()) has |= kNames;
    if (picture.width != header.width || picture.height != header.height) has |= kSizes;
  }
  return has;
}

}  // namespace

int64_t streams_of(const CodedPicture& picture, const CodedHeader& header) {
  return tiles_of(picture.width, picture.height, {header.width, header.height});
}

std::string fault_of_name(const std::string& name) {
  if (name.size() > kMostName)
    return fmt::format("the name '{}...' has {} bytes; expected at most {}",
                       printable(std::string_view(name).substr(0, 40)), name.size(), kMostName);
  if (const std::string shown = printable(name); shown != name)
    return fmt::format("the name '{}' has control characters", shown);
  size_t begin = 0;
  while (begin <= name.size()) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view part = std::string_view(name).substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..")
      return fmt::format("'{}' is not a name of a picture inside a folder", name);
    begin = end + 1;
  }
  return {};
}

void check_pictures(std::span<const CodedPicture> pictures) {
  const auto all_or_none = [&](const char* what, auto has) {
    const auto count = std::ranges::count_if(pictures, has);
    if (count != 0 && count != std::ssize(pictures))
      throw Error(fmt::format("{} of {} pictures have a {}; expected all or none", count,
                              pictures.size(), what));
    return count != 0;
  };
  all_or_none("label", [](const CodedPicture& picture) { return picture.label.has_value(); });
  if (!all_or_none("name", [](const CodedPicture& picture) { return !picture.name.empty(); }))
    return;
  std::set<std::string_view> names;
  for (const CodedPicture& picture : pictures) {
    if (const std::string fault = fault_of_name(picture.name); !fault.empty())
      throw Error(fmt::format("picture {}: {}", names.size(), fault));
    if (!names.insert(picture.name).second)
      throw Error(fmt::format("two pictures are called {}", picture.name));
  }
}

bool is_coded_file(const std::filesystem::path& path) {
  const std::vector<std::byte> start = read_start(path);
  return start.size() >= kMagic.size() &&
         std::memcmp(start.data(), kMagic.data(), kMagic.size()) == 0;
}

CodedFileWriter::CodedFileWriter(const CodedHeader& header, Write write)
    : header_(header), write_(std::move(write)) {
  const nlohmann::ordered_json json = {
      {"version", kVersion},       {"model", header.model},
      {"sha256", header.sha256},   {"precision", name(header.precision)},
      {"kernels", header.kernels}, {"width", header.width},
      {"height", header.height}};
  const std::string text = on_one_line(json);
  std::vector<uint8_t> bytes;
  append(bytes, bytes_of(kMagic));
  append(bytes, static_cast<uint32_t>(text.size()));
  append(bytes, bytes_of(text));
  append(bytes, crc32c(bytes));
  write_(bytes);
}

void CodedFileWriter::add(std::vector<uint8_t> stream) {
  group_.push_back(std::move(stream));
  ++streams_;
  if (std::ssize(group_) == kStreamsInGroup) write_group();
}

void CodedFileWriter::write_group() {
  std::vector<uint8_t> bytes;
  for (const std::vector<uint8_t>& stream : group_) append_varint(bytes, stream.size());
  for (const std::vector<uint8_t>& stream : group_) append(bytes, stream);
  append(bytes, crc32c(bytes));
  write_(bytes);
  group_sizes_.push_back(bytes.size());
  group_.clear();
}

void CodedFileWriter::finish(std::span<const CodedPicture> pictures) {
  check_pictures(pictures);
  if (!group_.empty()) write_group();
  const uint64_t has = features(pictures, header_);
  std::vector<uint8_t> tables;
  append_varint(tables, pictures.size());
  append_varint(tables, has);
  if (has & kSizes)
    for (const CodedPicture& picture : pictures) {
      append_varint(tables, static_cast<uint64_t>(picture.width));
      append_varint(tables, static_cast<uint64_t>(picture.height));
    }
  for (const uint64_t size : group_sizes_) append_varint(tables, size);
  if (has & kLabels)
    for (const CodedPicture& picture : pictures)
      append_varint(tables, static_cast<uint64_t>(picture.label.value()));
  if (has & kNames)
    for (const CodedPicture& picture : pictures) {
      append_varint(tables, picture.name.size());
      append(tables, bytes_of(picture.name));
    }
  std::vector<uint8_t> footer;
  append(footer, uint64_t{tables.size()});
  append(footer, crc32c(tables));
  append(footer, bytes_of(kEnd));
  write_(tables);
  write_(footer);
}

CodedFile::CodedFile(std::span<const uint8_t> bytes, std::string source, uint64_t most)
    : bytes_(bytes), source_(std::move(source)) {
  read_tables(read_header(), most);
}

void CodedFile::fail(const std::string& why) const {
  throw Error(fmt::format("{}: {}", source_, why));
}

// Returns its size.
size_t CodedFile::read_header() {
  ByteReader reader(bytes_);
  if (!std::ranges::equal(reader.take(kMagic.size()), bytes_of(kMagic))) {
    const std::string kind = file_kind(std::as_bytes(bytes_));
    fail("is not a file of combiner compress" + (kind.empty() ? "" : "; it is " + kind));
  }
  const auto size = reader.number<uint32_t>();
  if (size > kMostHeader) fail("damaged: the header's length makes no sense");
  const std::string text = text_of(reader.take(size));
  const size_t end = bytes_.size() - reader.rest().size();
  const auto sum = reader.number<uint32_t>();
  if (reader.failed()) fail("cut off in the header");
  if (sum != crc32c(bytes_.first(end))) fail("damaged: the header's checksum is wrong");
  try {
    const Json json = parse_json(text, source_ + ": header");
    if (const int64_t version = json.at("version"); version != kVersion)
      fail(fmt::format("version {} of the format; this program knows version {}", version,
                       kVersion));
    json.at("model").get_to(header_.model);
    json.at("sha256").get_to(header_.sha256);
    json.at("kernels").get_to(header_.kernels);
    const auto precision = precision_named(json.at("precision").get<std::string>());
    if (!precision) fail("the header names a precision that this program doesn't know");
    header_.precision = *precision;
    const int64_t width = json.at("width"), height = json.at("height");
    if (!makes_sense(width, height)) fail("the header's image size makes no sense");
    header_.width = static_cast<int>(width);
    header_.height = static_cast<int>(height);
  } catch (const Json::exception& error) {
    fail(fmt::format("the header is not as it should be: {}", error.what()));
  }
  return bytes_.size() - reader.rest().size();
}

void CodedFile::read_tables(size_t streams_begin, uint64_t most) {
  std::span<const uint8_t> rest = bytes_.subspan(streams_begin);
  ByteReader footer(rest.last(std::min(rest.size(), kFooterSize)));
  const auto size = footer.number<uint64_t>();
  const auto sum = footer.number<uint32_t>();
  if (!std::ranges::equal(footer.take(kEnd.size()), bytes_of(kEnd)) ||
      size > rest.size() - kFooterSize)
    fail("doesn't end as it should: it is cut off, or something was added to it");
  rest = rest.first(rest.size() - kFooterSize);
  const std::span<const uint8_t> tables = rest.last(static_cast<size_t>(size));
  if (sum != crc32c(tables)) fail("damaged: the checksum of its tables is wrong");

  // With the checksum right, what follows holds for every file that was written by a program
  // without faults. It is checked all the same, since files may come from anywhere.
  const auto require = [this](bool good) {
    if (!good) fail("its tables contradict each other");
  };
  ByteReader reader(tables);
  // Every picture has a stream, and every stream a length of one byte or more.
  const uint64_t count = reader.varint();
  const uint64_t has = reader.varint();
  require(count <= rest.size() - tables.size() && has <= (kLabels | kNames | kSizes));
  if (count > most)
    throw TooLarge(fmt::format("{}: holds {} pictures; expected at most {}", source_, count, most));
  pictures_.assign(static_cast<size_t>(count), {header_.width, header_.height, {}, {}});
  if (has & kSizes)
    for (CodedPicture& picture : pictures_) {
      const auto width = static_cast<int64_t>(reader.varint());
      const auto height = static_cast<int64_t>(reader.varint());
      require(makes_sense(width, height));
      picture.width = static_cast<int>(width);
      picture.height = static_cast<int>(height);
    }
  for (const CodedPicture& picture : pictures_) {
    first_streams_.push_back(streams_);
    streams_ += streams_of(picture, header_);
    require(std::cmp_less_equal(streams_, rest.size()));
  }
  rest = rest.first(rest.size() - tables.size());
  for (int64_t group = 0; group < ceil_div(streams_, kStreamsInGroup); ++group) {
    const uint64_t group_size = reader.varint();
    require(group_size <= rest.size());
    groups_.push_back(rest.first(static_cast<size_t>(group_size)));
    rest = rest.subspan(groups_.back().size());
  }
  require(rest.empty());
  if (has & kLabels)
    for (CodedPicture& picture : pictures_) picture.label = static_cast<int64_t>(reader.varint());
  if (has & kNames) {
    for (CodedPicture& picture : pictures_) {
      picture.name = text_of(reader.take(reader.varint()));
      require(!picture.name.empty());
    }
    try {
      check_pictures(pictures_);
    } catch (const Error& error) {
      fail(error.what());
    }
  }
  require(!reader.failed() && reader.rest().empty());
}

std::optional<std::span<const uint8_t>> CodedFile::stream(int64_t index) {
  const auto group = static_cast<size_t>(index / kStreamsInGroup);
  if (open_ != group) open_group(group);
  if (opened_.empty()) return std::nullopt;
  return opened_[static_cast<size_t>(index % kStreamsInGroup)];
}

bool CodedFile::is_whole(size_t picture) {
  const int64_t first = first_streams_[picture];
  const int64_t end = first + streams_of(pictures_[picture], header_);
  // One stream of each group will do.
  for (int64_t i = first; i < end; i += kStreamsInGroup - i % kStreamsInGroup)
    if (!stream(i)) return false;
  return true;
}

void CodedFile::open_group(size_t group) {
  open_ = group;
  opened_.clear();
  const std::span<const uint8_t> bytes = groups_[group];
  if (bytes.size() < sizeof(uint32_t)) return;
  const std::span<const uint8_t> record = bytes.first(bytes.size() - sizeof(uint32_t));
  if (ByteReader(bytes.last(sizeof(uint32_t))).number<uint32_t>() != crc32c(record)) return;
  ByteReader reader(record);
  std::vector<uint64_t> sizes;
  const int64_t first = static_cast<int64_t>(group) * kStreamsInGroup;
  for (int64_t i = first; i < std::min(first + kStreamsInGroup, streams_); ++i)
    sizes.push_back(reader.varint());
  std::vector<std::span<const uint8_t>> streams;
  for (const uint64_t size : sizes) streams.push_back(reader.take(size));
  if (!reader.failed() && reader.rest().empty()) opened_ = std::move(streams);
}

void check_model(const CodedFile& file, const std::string& model, const std::string& sha256,
                 const std::string& hint) {
  const CodedHeader& header = file.header();
  if (sha256 != header.sha256)
    throw Error(fmt::format("{}: was made with {}, SHA-256 {}; {} has {}; {}", file.source(),
                            printable(header.model), printable(header.sha256), model, sha256,
                            hint));
  if (const std::string kernels = kernels_in_use(header.precision); kernels != header.kernels)
    throw Error(fmt::format("{}: was made in {} with {}; here are {}, whose results may differ",
                            file.source(), name(header.precision), printable(header.kernels),
                            kernels));
}

}  // namespace combiner
