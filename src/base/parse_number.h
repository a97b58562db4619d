// Numbers that are a whole text.
#pragma once

#include <charconv>
#include <optional>
#include <string_view>
#include <system_error>

namespace combiner {

// Reads the number that the whole text is, in decimal notation. Returns invalid_argument if it is
// not a number, result_out_of_range if Number can't hold it.
template <class Number>
std::errc read_number(std::string_view text, Number& number) {
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return stop == end ? error : std::errc::invalid_argument;
}

// The same number; nullopt if it can't be read.
template <class Number>
std::optional<Number> parse_number(std::string_view text) {
  Number number{};
  if (read_number(text, number) != std::errc()) return std::nullopt;
  return number;
}

}  // namespace combiner
