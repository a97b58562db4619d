#include "cli/number_option.h"

#include <algorithm>
#include <iterator>
#include <memory>

#include "catch.h"
#include "cli/bad_numbers.h"
#include "cli/commands.h"
#include "cli/definitions.h"

namespace combiner {
namespace {

// What the program says of a command line that it refuses; empty if it accepts it. Nothing is run.
std::string complaint_about(std::vector<std::string> words) {
  ClusterAction action;
  const auto app = define_program(commands(), action);
  std::ranges::reverse(words);
  try {
    app->parse(words);
  } catch (const CLI::ParseError& error) {
    return error.what();
  }
  return {};
}

// All options of all subcommands whose value is neither a file nor one of a few words.
std::vector<std::pair<std::string, OptionText>> number_options() {
  ClusterAction action;
  const auto app = define_program(commands(), action);
  std::vector<std::pair<std::string, OptionText>> options;
  for (const CLI::App* const command : app->get_subcommands(nullptr))
    for (const OptionText& option : options_of(*command))
      if (!option.value.empty() && !option.positional() && !option.path && option.choices.empty() &&
          option.value != "RxC" && option.value != "ADDRESS")
        options.emplace_back(command->get_name(), option);
  return options;
}

TEST_CASE("numbers: no option of any command takes what is no number, or one too large") {
  const auto options = number_options();
  CHECK(options.size() > 40);
  for (const auto& [command, option] : options)
    for (const std::string& bad : kBadNumbers) {
      const std::string& name = option.names.back();
      INFO(fmt::format("combiner {} {} '{}'", command, name, bad));
      const std::string complaint = complaint_about({command, name, bad});
      CHECK(complaint.starts_with(name + ": "));
      CHECK_THAT(complaint, contains(" is not a") || contains(" is out of range; expected a"));
      CHECK_THAT(complaint, contains("number "));
      CHECK(complaint.size() < 200);
    }
}

TEST_CASE("numbers: only options that have a use for it take less than zero") {
  for (const auto& [command, option] : number_options()) {
    const std::string& name = option.names.back();
    INFO(fmt::format("combiner {} {}", command, name));
    CHECK(complaint_about({command, name, "-1"}).starts_with(name + ": -1 is not a"));
  }
}

TEST_CASE("numbers: are decimal, whatever zeros they begin with") {
  CHECK(parse_number<int>("010") == 10);
  CHECK(parse_number<int64_t>("08") == 8);
  CHECK(parse_number<double>("010") == 10);
  CHECK(parse_number<uint64_t>("18446744073709551615") == UINT64_MAX);
  CHECK_FALSE(parse_number<uint64_t>("18446744073709551616"));
  CHECK(parse_number<double>("2.5e-1") == 0.25);
  CHECK_FALSE(parse_number<float>("1e39"));
  std::optional<int> number;
  CLI::App app;
  add_number(app, "-n,--number", number, {1, 20}, "");
  app.parse("-n 010", false);
  CHECK(number == 10);
}

TEST_CASE("numbers: ranges say what they hold") {
  CHECK(NumberRange<int>{1, 64}.text() == "a whole number from 1 to 64");
  CHECK(NumberRange<int64_t>{0}.text() == "a whole number of 0 or more");
  CHECK(NumberRange<double>{0, 1}.text() == "a number from 0 to 1");
  CHECK(NumberRange<double>{0, 1, true}.text() == "a number above 0 and at most 1");
  const NumberRange<double> above{.low = 0, .above_low = true};
  CHECK(above.text() == "a number above 0");
  CHECK(above.holds(1e-300));
  CHECK_FALSE(above.holds(0));
  CHECK_FALSE(above.holds(std::numeric_limits<double>::infinity()));
  CHECK_FALSE(above.holds(std::numeric_limits<double>::quiet_NaN()));
}

}  // namespace
}  // namespace combiner
