#include "weights/checksum.h"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>

#include "base/for_each_band.h"
#include "combiner/error.h"

namespace combiner {
namespace {

constexpr const char* kKey = "combiner_checksum";
constexpr std::string_view kKind = "crc32:";
constexpr std::string_view kZeros = "00000000";
// What stands before the digits. JSON escapes quotes, so this can't be part of another text.
constexpr std::string_view kBefore = "\"combiner_checksum\":\"crc32:";

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

std::string checksum(std::span<const std::span<const std::byte>> parts, const Cancel& cancel) {
  constexpr int64_t kAtOnce = int64_t{16} << 20;
  uLong sum = 0;
  for (const std::span<const std::byte> part : parts)  // maybe empty: zlib must not see null
    for_each_band(std::ssize(part), kAtOnce, [&](int64_t first, int64_t size) {
      cancel.poll();
      sum = ::crc32_z(sum, reinterpret_cast<const Bytef*>(part.data() + first),
                      static_cast<z_size_t>(size));
    });
  return fmt::format("{:08x}", sum);
}

void add_checksum(Metadata& metadata) { metadata[kKey] = fmt::format("{}{}", kKind, kZeros); }

void fill_in_checksum(std::string& header, std::span<const std::span<const std::byte>> parts) {
  header.replace(find_digits(header), kZeros.size(), checksum(parts));
}

void check_checksum(std::span<const std::byte> file, size_t header_end, Metadata& metadata,
                    std::string_view source, const Cancel& cancel) {
  if (!has_checksum(metadata)) return;
  const std::string_view header(reinterpret_cast<const char*>(file.data()), header_end);
  const size_t digits = find_digits(header);
  if (digits == header.npos)
    throw Error(
        fmt::format("{}: the file is damaged: its checksum, {} in the metadata, can't be read; get "
                    "it again, or use another copy",
                    source, kKey));
  const std::string_view stated = header.substr(digits, kZeros.size());
  const std::string actual =
      checksum(std::array{file.first(digits), std::as_bytes(std::span(kZeros)),
                          file.subspan(digits + kZeros.size())},
               cancel);
  if (actual != stated)
    throw Error(fmt::format(
        "{}: the file is damaged: its checksum is {}, expected {}; get it again, or use "
        "another copy (a program that changed it on purpose must leave {} out of the "
        "metadata)",
        source, actual, stated, kKey));
  metadata.erase(kKey);
}

}  // namespace combiner
