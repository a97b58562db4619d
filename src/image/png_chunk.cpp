#include "image/png_chunk.h"

#include <algorithm>

#include "image/bytes.h"

namespace combiner {

std::span<const uint8_t> png_chunk(std::span<const uint8_t> bytes, std::string_view name) {
  constexpr size_t kSignature = 8, kLengthAndName = 8, kChecksum = 4;
  for (size_t at = kSignature; at + kLengthAndName + kChecksum <= bytes.size();) {
    const size_t length = number(bytes, at, 4);
    const std::span<const uint8_t> data = bytes.subspan(at + kLengthAndName);
    if (begins_with(bytes.subspan(at + 4), name)) return data.first(std::min(length, data.size()));
    at += kLengthAndName + length + kChecksum;
  }
  return {};
}

}  // namespace combiner
