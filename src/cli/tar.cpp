#include "cli/tar.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>

#include "combiner/error.h"

namespace combiner {
namespace {

constexpr size_t kBlock = 512;
using Block = std::array<std::byte, kBlock>;

// The fields of a header: where they begin, and their sizes.
struct Field {
  size_t at;
  size_t size;
};
constexpr Field kName = {0, 100}, kMode = {100, 8}, kUser = {108, 8}, kGroup = {116, 8},
                kSize = {124, 12}, kTime = {136, 12}, kSum = {148, 8}, kType = {156, 1},
                kMagic = {257, 8}, kPrefix = {345, 155};

void put(Block& block, Field field, std::string_view text) {
  std::ranges::copy(std::as_bytes(std::span(text.substr(0, field.size))),
                    block.begin() + static_cast<std::ptrdiff_t>(field.at));
}

// In octal digits that fill the field but for a zero byte.
void put_number(Block& block, Field field, uint64_t number) {
  put(block, field, fmt::format("{:0{}o}", number, field.size - 1));
}

// A name in its two parts, without the slash between them.
struct SplitName {
  std::string_view prefix, name;
};

std::optional<SplitName> split(std::string_view name) {
  if (name.size() <= kName.size) return SplitName{{}, name};
  // The first slash that leaves few enough bytes behind it leaves the fewest in front of it.
  const size_t slash = name.find('/', name.size() - kName.size - 1);
  if (slash == std::string_view::npos || slash > kPrefix.size) return std::nullopt;
  return SplitName{name.substr(0, slash), name.substr(slash + 1)};
}

}  // namespace

bool fits_tar(std::string_view name) { return split(name).has_value(); }

void TarWriter::add(const std::string& name, std::span<const std::byte> contents) {
  const auto parts = split(name);
  if (!parts)
    throw Error(
        fmt::format("{}: the name is too long for a tar archive; unpack to a folder", name));
  Block header = {};
  put(header, kName, parts->name);
  put_number(header, kMode, 0644);
  put_number(header, kUser, 0);
  put_number(header, kGroup, 0);
  put_number(header, kSize, contents.size());
  put_number(header, kTime, 0);
  put(header, kSum, "        ");  // it counts as spaces in itself
  put(header, kType, "0");
  put(header, kMagic,
      std::string_view("ustar\0"
                       "00",
                       kMagic.size));
  put(header, kPrefix, parts->prefix);
  const auto sum = std::accumulate(
      header.begin(), header.end(), uint64_t{0},
      [](uint64_t sum, std::byte byte) { return sum + std::to_integer<uint64_t>(byte); });
  put(header, kSum, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
  write_(header);
  write_(contents);
  const Block zeros = {};
  write_(std::span(zeros).first((kBlock - contents.size() % kBlock) % kBlock));
}

void TarWriter::finish() {
  const std::array<std::byte, 2 * kBlock> zeros = {};
  write_(zeros);
}

}  // namespace combiner
