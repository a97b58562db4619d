#include <fmt/format.h>
#include <fmt/ranges.h>

#include <vector>

#include "cli/definitions.h"
#include "cli/shell_completion.h"

namespace combiner {
namespace {

// A branch of the script's `case`: after these words the current one is completed so.
std::string branch(const std::vector<std::string>& patterns, const std::string& completed) {
  return fmt::format("    {}) {} ;;\n", fmt::join(patterns, "|"), completed);
}

// Bash itself completes file names best: it knows about quotes, spaces and ~.
std::string completed_value(const OptionText& option) {
  if (!option.choices.empty()) return fmt::format("words='{}'", fmt::join(option.choices, " "));
  return option.path || option.positional() ? "compopt -o default" : "words=";
}

// The branches for the arguments of options. `command` is a subcommand, or * for any.
std::string option_branches(const std::string& command, const std::vector<OptionText>& options) {
  std::string branches;
  for (const OptionText& option : options) {
    if (option.positional() || option.value.empty()) continue;
    std::vector<std::string> patterns;
    for (const std::string& name : option.names)
      patterns.push_back(fmt::format("{}:{}:*", command, name));
    branches += branch(patterns, completed_value(option));
  }
  return branches;
}

// The branch for the names of options. Where nothing else is expected, they are offered at once.
std::string names_branch(const std::string& pattern, const std::vector<OptionText>& options) {
  std::vector<std::string> names;
  for (const OptionText& option : options)
    names.insert(names.end(), option.names.begin(), option.names.end());
  return branch({pattern}, fmt::format("words='{}'", fmt::join(names, " ")));
}

std::string subcommand_branches(const CLI::App& subcommand) {
  const std::string& name = subcommand.get_name();
  const std::vector<OptionText> options = all_options_of(subcommand);
  std::string branches = option_branches(name, options);
  for (const OptionText& option : options)
    if (option.positional())
      return branches + names_branch(name + ":*:-*", options) +
             branch({name + ":*"}, completed_value(option));
  return branches + names_branch(name + ":*", options);
}

}  // namespace

std::string bash_completion(const CLI::App& program) {
  std::vector<std::string> subcommands;
  std::string branches = option_branches("", options_of(program));
  for (const CLI::App* const subcommand : program.get_subcommands(nullptr)) {
    subcommands.push_back(subcommand->get_name());
    branches += subcommand_branches(*subcommand);
  }
  branches += names_branch(":*:-*", options_of(program));
  branches += branch({":*"}, fmt::format("words='{}'", fmt::join(subcommands, " ")));

  return fmt::format(R"(# Completes {0}'s command lines in bash. Made by `{0} completion bash`.
_{0}() {{
  local current=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD - 1]}}
  # The = of --option=value is a word.
  if [[ $current == = ]]; then
    current=
  elif [[ $previous == = ]]; then
    previous=${{COMP_WORDS[COMP_CWORD - 2]}}
  fi
  local word subcommand= words=
  for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
    case $word in
    {1}) subcommand=$word; break ;;
    esac
  done
  case $subcommand:$previous:$current in
{2}  esac
  COMPREPLY=()
  if [[ $words ]]; then mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current"); fi
}}
complete -F _{0} {0}
)",
                     program.get_name(), fmt::join(subcommands, "|"), branches);
}

}  // namespace combiner
