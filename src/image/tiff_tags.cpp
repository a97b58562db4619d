#include "image/tiff_tags.h"

#include "image/bytes.h"
#include "image/picture_format.h"

namespace combiner {
namespace {

// A file's first directory. The file is either classic or, with larger counts and offsets, a
// BigTIFF.
class Directory {
 public:
  explicit Directory(std::span<const uint8_t> bytes)
      : bytes_(bytes),
        order_(bytes[0] == 'I' ? ByteOrder::little_endian : ByteOrder::big_endian),
        big_(get(2, 2) == 43) {}

  std::optional<uint64_t> find(uint16_t tag) const {
    const uint64_t first = big_ ? get(8, 8) : get(4, 4);
    const uint64_t entries = get(first, big_ ? 8 : 2), begin = first + (big_ ? 8 : 2);
    const uint64_t entry_bytes = big_ ? 20 : 12;
    for (uint64_t i = 0; i < entries; ++i) {
      const uint64_t entry = begin + entry_bytes * i;
      if (entry < begin || entry >= bytes_.size()) break;
      if (get(entry, 2) == tag) return value(entry);
    }
    return {};
  }

 private:
  std::optional<uint64_t> value(uint64_t entry) const {
    constexpr uint64_t kShort = 3, kLong = 4, kLong8 = 16;
    const uint64_t type = get(entry + 2, 2);
    const uint64_t size = type == kShort ? 2 : type == kLong ? 4 : type == kLong8 ? 8 : 0;
    if (size == 0) return {};
    const uint64_t room = big_ ? 8 : 4;
    const uint64_t count = get(entry + 4, room), place = entry + 4 + room;
    return get(count <= room / size ? place : get(place, room), size);
  }

  uint64_t get(uint64_t at, uint64_t size) const { return number(bytes_, at, size, order_); }

  std::span<const uint8_t> bytes_;
  ByteOrder order_;
  bool big_;
};

}  // namespace

std::optional<uint64_t> tiff_tag(std::span<const uint8_t> bytes, uint16_t tag) {
  if (!is_tiff(bytes)) return {};
  return Directory(bytes).find(tag);
}

}  // namespace combiner
