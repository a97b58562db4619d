#include <fmt/format.h>
#include <fmt/ranges.h>

#include <string_view>
#include <vector>

#include "cli/definitions.h"
#include "cli/shell_completion.h"

namespace combiner {
namespace {

std::string in_quotes(std::string_view text) {
  std::string result = "'";
  for (const char letter : text) {
    if (letter == '\'' || letter == '\\') result += '\\';
    result += letter;
  }
  return result + "'";
}

// What may follow: choices, file names or, for lack of both, nothing.
std::string arguments_of(const OptionText& option) {
  if (!option.choices.empty())
    return fmt::format(" -f -a {}", in_quotes(fmt::format("{}", fmt::join(option.choices, " "))));
  return option.path || option.positional() ? " -F" : " -f";
}

// `where` is the start of the line: the program and the condition.
std::string option_line(const std::string& where, const OptionText& option) {
  std::string line = where;
  for (const std::string& name : option.names)
    line += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  if (!option.positional() && !option.value.empty()) line += " -r";
  if (!option.value.empty()) line += arguments_of(option);
  return line + " -d " + in_quotes(option.description) + "\n";
}

}  // namespace

std::string fish_completion(const CLI::App& program) {
  const std::string& name = program.get_name();
  std::vector<std::string> subcommands;
  for (const CLI::App* const subcommand : program.get_subcommands(nullptr))
    subcommands.push_back(subcommand->get_name());
  const std::string before_subcommand = fmt::format(
      "complete -c {} -n 'not __fish_seen_subcommand_from {}'", name, fmt::join(subcommands, " "));

  std::string script = fmt::format(
      "# Completes {0}'s command lines in fish. Made by `{0} completion fish`.\n"
      "complete -c {0} -f\n",
      name);
  for (const OptionText& option : options_of(program))
    script += option_line(before_subcommand, option);
  for (const CLI::App* const subcommand : program.get_subcommands(nullptr)) {
    script += fmt::format("{} -a {} -d {}\n", before_subcommand, subcommand->get_name(),
                          in_quotes(subcommand->get_description()));
    const std::string after_subcommand = fmt::format(
        "complete -c {} -n '__fish_seen_subcommand_from {}'", name, subcommand->get_name());
    for (const OptionText& option : all_options_of(*subcommand))
      script += option_line(after_subcommand, option);
  }
  return script;
}

}  // namespace combiner
