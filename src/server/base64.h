// Bytes in JSON: base64 as in RFC 4648, with padding.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace combiner {

std::string to_base64(std::span<const uint8_t> bytes);

// nullopt if the text is not base64 to its last character.
std::optional<std::vector<uint8_t>> from_base64(std::string_view text);

}  // namespace combiner
