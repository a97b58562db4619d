// Options whose value is a number.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <system_error>
#include <type_traits>

#include "base/parse_number.h"
#include "base/printable.h"

namespace combiner {

// The numbers from `low` to `high`, maybe without `low` itself.
template <class Number>
struct NumberRange {
  Number low;
  Number high = std::numeric_limits<Number>::max();
  bool above_low = false;

  // False for a number that is none, and for infinity.
  bool holds(Number number) const {
    return number >= low && number <= high && !(above_low && number == low);
  }

  // "a whole number from 1 to 64"
  std::string text() const {
    const char* const kind = std::is_integral_v<Number> ? "a whole number" : "a number";
    const bool limited = high != std::numeric_limits<Number>::max();
    if (!limited)
      return above_low ? fmt::format("{} above {}", kind, low)
                       : fmt::format("{} of {} or more", kind, low);
    return above_low ? fmt::format("{} above {} and at most {}", kind, low, high)
                     : fmt::format("{} from {} to {}", kind, low, high);
  }
};

namespace internal {
template <class T>
struct Held {
  using Type = T;
};
template <class T>
struct Held<std::optional<T>> {
  using Type = T;
};
}  // namespace internal

// Adds an option with a number, which `set` receives. Anything but a number in the range is a usage
// error that names the option, what was given and what is expected. All options with numbers are
// added here: CLI11's own conversion takes 010 for 8 and, depending on its version, nothing for 0
// and a number that is too large for the largest.
template <class Number>
CLI::Option* add_number_function(CLI::App& command, const std::string& names,
                                 const std::function<void(Number)>& set,
                                 const NumberRange<Number>& range, const std::string& description) {
  const auto complaint = [range](const std::string& text) {
    Number number{};
    const std::errc error = read_number(text, number);
    if (error == std::errc::result_out_of_range)
      return fmt::format("{} is out of range; expected {}", typed(text), range.text());
    return error == std::errc() && range.holds(number)
               ? std::string()
               : fmt::format("{} is not {}", typed(text), range.text());
  };
  return command
      .add_option_function<std::string>(
          names, [set](const std::string& text) { set(*parse_number<Number>(text)); }, description)
      ->type_name("N")
      ->check(CLI::Validator(complaint, "", "number"));
}

// Adds an option that sets a number, or an optional one. The value of a target that is not optional
// is shown as the default.
template <class Target>
CLI::Option* add_number(CLI::App& command, const std::string& names, Target& target,
                        const NumberRange<typename internal::Held<Target>::Type>& range,
                        const std::string& description) {
  using Number = typename internal::Held<Target>::Type;
  CLI::Option* const option = add_number_function<Number>(
      command, names, [&target](Number number) { target = number; }, range, description);
  if constexpr (std::is_same_v<Target, Number>) option->default_str(fmt::to_string(target));
  return option;
}

}  // namespace combiner
