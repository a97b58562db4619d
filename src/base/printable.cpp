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

// Whether a control character of two bytes begins at `i`.
bool is_long_control(std::string_view text, size_t i) {
  const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
  return static_cast<unsigned char>(text[i]) == kLead && next >= 0x80 && next <= 0x9f;
}

}  // namespace

std::string printable(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool is_long = is_long_control(text, i);
    if (is_long || is_control(text[i])) {
      i += is_long;
      result += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[i]));
    } else {
      result += text[i];
    }
  }
  return result;
}

bool is_printable(std::string_view lines) {
  for (size_t i = 0; i < lines.size(); ++i)
    if (is_long_control(lines, i) || (is_control(lines[i]) && lines[i] != '\n')) return false;
  return true;
}

std::string printable_lines(std::string_view text) {
  const size_t end = text.find('\n');
  if (end == text.npos) return printable(text);
  return printable(text.substr(0, end)) + '\n' + printable_lines(text.substr(end + 1));
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
