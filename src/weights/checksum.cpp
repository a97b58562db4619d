#include "weights/checksum.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>

#include "combiner/error.h"

namespace combiner {
namespace {

constexpr const char* kKey = "combiner_checksum";
constexpr std::string_view kKind = "crc32:";
constexpr std::string_view kZeros = "00000000";
// What stands before the digits. JSON escapes quotes, so this can't be part of another text.
constexpr std::string_view kBefore = "\"combiner_checksum\":\"crc32:";

std::string checksum(std::span<const std::span<const std::byte>> parts) {
  uLong sum = 0;
  for (const std::span<const std::byte> part : parts)
    if (!part.empty())  // zlib begins anew if the pointer is null
      sum = ::crc32_z(sum, reinterpret_cast<const Bytef*>(part.data()), part.size());
  return fmt::format("{:08x}", sum);
}

// The position of the digits; npos if they are not there.
size_t find_digits(std::string_view header) {
  const size_t before = header.find(kBefore);
  if (before == header.npos) return header.npos;
  const size_t digits = before + kBefore.size();
  return header.size() - digits < kZeros.size() ? header.npos : digits;
}

// Whether there is a checksum, be it a damaged one: its key and its value tell independently.
bool has_checksum(const Metadata& metadata) {
  return std::ranges::any_of(metadata, [](const auto& entry) {
    const auto& [key, value] = entry;
    return key == kKey ||
           (value.starts_with(kKind) && value.size() == kKind.size() + kZeros.size());
  });
}

}  // namespace

void add_checksum(Metadata& metadata) { metadata[kKey] = fmt::format("{}{}", kKind, kZeros); }

void fill_in_checksum(std::string& header, std::span<const std::span<const std::byte>> parts) {
  header.replace(find_digits(header), kZeros.size(), checksum(parts));
}

void check_checksum(std::span<const std::byte> file, size_t header_end, Metadata& metadata,
                    std::string_view source) {
  if (!has_checksum(metadata)) return;
  const std::string_view header(reinterpret_cast<const char*>(file.data()), header_end);
  const size_t digits = find_digits(header);
  if (digits == header.npos)
    throw Error(
        fmt::format("{}: the file is damaged: its checksum, {} in the metadata, can't be read; get "
                    "it again, or use another copy",
                    source, kKey));
  const std::string_view stated = header.substr(digits, kZeros.size());
  const std::string actual = checksum(std::array{
      file.first(digits), std::as_bytes(std::span(kZeros)), file.subspan(digits + kZeros.size())});
  if (actual != stated)
    throw Error(fmt::format(
        "{}: the file is damaged: its checksum is {}, expected {}; get it again, or use "
        "another copy (a program that changed it on purpose must leave {} out of the "
        "metadata)",
        source, actual, stated, kKey));
  metadata.erase(kKey);
}

}  // namespace combiner
