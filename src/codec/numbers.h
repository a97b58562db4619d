// Numbers in the file format of compressed pictures.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace combiner {

// Appends in little-endian order.
template <std::unsigned_integral Number>
void append(std::vector<uint8_t>& bytes, Number number) {
  for (size_t i = 0; i < sizeof(Number); ++i)
    bytes.push_back(static_cast<uint8_t>(number >> 8 * i));
}

// Appends seven bits a byte, the lowest first; all bytes but the last have their highest bit set.
inline void append_varint(std::vector<uint8_t>& bytes, uint64_t number) {
  for (; number >= 0x80; number >>= 7) bytes.push_back(static_cast<uint8_t>(number | 0x80));
  bytes.push_back(static_cast<uint8_t>(number));
}

// Reads bytes front to back. Once they do not suffice, or a number is not in its only form, it has
// failed, and everything read is 0 or empty.
class ByteReader {
 public:
  explicit ByteReader(std::span<const uint8_t> bytes) : rest_(bytes) {}

  bool failed() const { return failed_; }
  std::span<const uint8_t> rest() const { return rest_; }

  std::span<const uint8_t> take(uint64_t size) {
    if (size > rest_.size()) {
      failed_ = true;
      rest_ = {};
      return {};
    }
    const auto taken = rest_.first(static_cast<size_t>(size));
    rest_ = rest_.subspan(taken.size());
    return taken;
  }

  template <std::unsigned_integral Number>
  Number number() {
    Number value = 0;
    const std::span<const uint8_t> bytes = take(sizeof(Number));
    for (size_t i = 0; i < bytes.size(); ++i)
      value = static_cast<Number>(value | Number{bytes[i]} << 8 * i);
    return value;
  }

  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 63; shift += 7) {
      const auto byte = number<uint8_t>();
      value |= uint64_t{byte & 0x7FU} << shift;
      if (byte < 0x80) {
        if (byte == 0 && shift > 0) break;  // a longer form than needed
        return value;
      }
    }
    take(~uint64_t{0});
    return 0;
  }

 private:
  std::span<const uint8_t> rest_;
  bool failed_ = false;
};

}  // namespace combiner
