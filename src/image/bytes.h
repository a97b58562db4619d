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

// Of ASCII.
inline bool is_space(uint8_t byte) { return byte == ' ' || (byte >= '\t' && byte <= '\r'); }

}  // namespace combiner
