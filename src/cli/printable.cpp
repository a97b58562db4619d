#include "cli/printable.h"

#include <fmt/format.h>

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

}  // namespace combiner
