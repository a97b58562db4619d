#include "base/printable.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>

namespace combiner {
namespace {

constexpr unsigned char kDelete = 0x7f;
// In UTF-8, U+0080 to U+009F are this byte and one from 0x80 to 0x9f, the character's number.
constexpr unsigned char kLead = 0xc2;

bool is_control(char byte) {
  return static_cast<unsigned char>(byte) < ' ' || static_cast<unsigned char>(byte) == kDelete;
}

// The bytes of the control character that begins at `i`; 0 if none does.
size_t control_at(std::string_view text, size_t i) {
  const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
  if (static_cast<unsigned char>(text[i]) == kLead && next >= 0x80 && next <= 0x9f) return 2;
  return is_control(text[i]) ? 1 : 0;
}

// Replaces control characters but for `kept`.
std::string without_controls(std::string_view text, std::string_view kept) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t size = control_at(text, i);
    if (size == 0 || kept.find(text[i]) != kept.npos) {
      result += text[i];
    } else {
      i += size - 1;
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i]));
    }
  }
  return result;
}

}  // namespace

std::string printable(std::string_view text) { return without_controls(text, ""); }

std::string printable_lines(std::string_view text) { return without_controls(text, "\n"); }

bool is_printable(std::string_view lines) {
  for (size_t i = 0; i < lines.size(); ++i)
    if (lines[i] != '\n' && control_at(lines, i) > 0) return false;
  return true;
}

std::string typed(std::string_view text) {
  constexpr size_t kLongest = 60;
  const bool word =
      !text.empty() && std::ranges::all_of(text, [](char c) { return c != ' ' && !is_control(c); });
  if (word && text.size() <= kLongest) return printable(text);
  size_t end = std::min(text.size(), kLongest);
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return fmt::format("\"{}{}\"", printable(text.substr(0, end)), end < text.size() ? "..." : "");
}

}  // namespace combiner
