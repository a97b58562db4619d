#include "image/tiff_tags.h"

#include <string_view>

#include "image/bytes.h"

namespace combiner {
namespace {

using namespace std::string_view_literals;

// The numbers of a file, which is either classic or, with larger sizes and offsets, a BigTIFF.
class Directory {
 public:
  explicit Directory(std::span<const uint8_t> bytes)
      : bytes_(bytes),
        little_(begins_with(bytes, "II"sv)),
        big_(begins_with(bytes, "II+\0"sv) || begins_with(bytes, "MM\0+"sv)),
        is_tiff_(big_ || begins_with(bytes, "II*\0"sv) || begins_with(bytes, "MM\0*"sv)) {}

  std::optional<uint64_t> find(uint16_t tag) const {
    if (!is_tiff_) return {};
    const uint64_t first = big_ ? number(8, 8) : number(4, 4);
    const uint64_t entries = number(first, big_ ? 8 : 2), begin = first + (big_ ? 8 : 2);
    const uint64_t entry_bytes = big_ ? 20 : 12;
    for (uint64_t i = 0; i < entries; ++i) {
      const uint64_t entry = begin + entry_bytes * i;
      if (entry < begin || entry >= bytes_.size()) break;
      if (number(entry, 2) == tag) return value(entry);
    }
    return {};
  }

 private:
  std::optional<uint64_t> value(uint64_t entry) const {
    constexpr uint64_t kShort = 3, kLong = 4, kLong8 = 16;
    const uint64_t type = number(entry + 2, 2);
    const uint64_t size = type == kShort ? 2 : type == kLong ? 4 : type == kLong8 ? 8 : 0;
    if (size == 0) return {};
    const uint64_t count = number(entry + 4, big_ ? 8 : 4), place = entry + (big_ ? 12 : 8);
    const uint64_t room = big_ ? 8 : 4;
    return number(count <= room / size ? place : number(place, room), size);
  }

  // The number of `size` bytes at `at`; 0 if the bytes end before it does.
  uint64_t number(uint64_t at, uint64_t size) const {
    if (at > bytes_.size() || size > bytes_.size() - at) return 0;
    uint64_t number = 0;
    for (uint64_t i = 0; i < size; ++i)
      number = number << 8 | bytes_[little_ ? at + size - 1 - i : at + i];
    return number;
  }

  std::span<const uint8_t> bytes_;
  bool little_, big_, is_tiff_;
};

}  // namespace

std::optional<uint64_t> tiff_tag(std::span<const uint8_t> bytes, uint16_t tag) {
  return Directory(bytes).find(tag);
}

}  // namespace combiner
