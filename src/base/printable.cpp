#include "base/printable.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

namespace combiner {
namespace {

constexpr unsigned char kDelete = 0x7f;
// In UTF-8, U+0080 to U+009F are this byte and one from 0x80 to 0x9f, the character's number.
constexpr unsigned char kLead = 0xc2;

}  // namespace

std::string printable(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    if (byte < ' ' || byte == kDelete) {
      result += fmt::format("\\x{:02x}", byte);
    } else if (byte == kLead && next >= 0x80 && next <= 0x9f) {
      result += fmt::format("\\x{:02x}", next);
      ++i;
    } else {
      result += text[i];
    }
  }
  return result;
}

std::string typed(std::string_view text) {
  constexpr size_t kLongest = 60;
  const bool word = !text.empty() && std::ranges::all_of(text, [](char c) {
    return static_cast<unsigned char>(c) > ' ' && static_cast<unsigned char>(c) != kDelete;
  });
  if (word && text.size() <= kLongest) return printable(text);
  size_t end = std::min(text.size(), kLongest);
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return fmt::format("\"{}{}\"", printable(text.substr(0, end)), end < text.size() ? "..." : "");
}

}  // namespace combiner
