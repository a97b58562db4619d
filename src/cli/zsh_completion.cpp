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
  for (const char letter : text)
    if (letter == '\'')
      result += R"('\'')";
    else
      result += letter;
  return result + "'";
}

// _arguments and _describe give these characters a meaning.
std::string escaped(std::string_view text) {
  std::string result;
  for (const char letter : text) {
    if (std::string_view(R"([]:\)").find(letter) != std::string_view::npos) result += '\\';
    result += letter;
  }
  return result;
}

// :MESSAGE:ACTION, where an action of one space completes nothing.
std::string argument(const OptionText& option) {
  std::string action = " ";
  if (!option.choices.empty())
    action = fmt::format("({})", fmt::join(option.choices, " "));
  else if (option.path || option.positional())
    action = "_files";
  return fmt::format(":{}:{}", escaped(option.value), action);
}

// The arguments of _arguments that describe an option, each on a line.
std::string specifications(const OptionText& option) {
  if (option.positional()) return " \\\n      " + in_quotes("*" + argument(option));
  std::string lines;
  for (const std::string& name : option.names) {
    std::string text = fmt::format("({}){}", fmt::join(option.names, " "), name);
    if (!option.value.empty()) text += name.starts_with("--") ? "=" : "+";
    text += fmt::format("[{}]", escaped(option.description));
    if (!option.value.empty()) text += argument(option);
    lines += " \\\n      " + in_quotes(text);
  }
  return lines;
}

std::string call_of_arguments(const std::vector<OptionText>& options) {
  std::string call = "_arguments";
  for (const OptionText& option : options) call += specifications(option);
  return call;
}

}  // namespace

std::string zsh_completion(const CLI::App& program) {
  std::string subcommands, branches;
  for (const CLI::App* const subcommand : program.get_subcommands(nullptr)) {
    const std::string& name = subcommand->get_name();
    subcommands +=
        fmt::format("    {}\n", in_quotes(name + ":" + escaped(subcommand->get_description())));
    branches += fmt::format("  argument:{})\n    {} ;;\n", name,
                            call_of_arguments(all_options_of(*subcommand)));
  }
  return fmt::format(R"(#compdef {0}
# Completes {0}'s command lines in zsh. Made by `{0} completion zsh`.
_{0}() {{
  local context state state_descr line
  local -A opt_args
  local -a subcommands=(
{1}  )
  {2} \
      '1:subcommand:->subcommand' '*::argument:->argument'
  case $state:$line[1] in
  subcommand:*) _describe subcommand subcommands ;;
{3}  esac
}}
# A file of $fpath is the function itself; a sourced one defines it.
if [[ $funcstack[1] == _{0} ]]; then
  _{0} "$@"
else
  compdef _{0} {0}
fi
)",
                     program.get_name(), subcommands, call_of_arguments(options_of(program)),
                     branches);
}

}  // namespace combiner
