// Questions about the bytes of picture files.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string_view>

namespace combiner {

inline bool begins_with(std::span<const uint8_t> bytes, std::string_view text) {
  return bytes.size() >= text.size() &&
         std::ranges::equal(bytes.first(text.size()), text, [](uint8_t byte, char letter) {
           return byte == static_cast<uint8_t>(letter);
         });
}

enum class ByteOrder : uint8_t { big_endian, little_endian };

// The number of `size` bytes, at most 8, at `at`; 0 if the bytes end before it does.
inline uint64_t number(std::span<const uint8_t> bytes, uint64_t at, uint64_t size,
                       ByteOrder order = ByteOrder::big_endian) {
  if (at > bytes.size() || size > bytes.size() - at) return 0;
  uint64_t value = 0;
  for (uint64_t i = 0; i < size; ++i)
    value = value << 8 | bytes[order == ByteOrder::big_endian ? at + i : at + size - 1 - i];
  return value;
}

// Of ASCII.
inline bool is_space(uint8_t byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

}  // namespace combiner
