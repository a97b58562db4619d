// What a program's definition says about its options, for its completion and its manual.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

namespace combiner {

struct OptionText {
  std::vector<std::string> names;    // such as -n and --count; none if it is positional
  std::string value;                 // what its argument is called; empty if it has none
  std::vector<std::string> choices;  // the argument is one of these, if there are any
  bool path = false;                 // the argument is a file or a folder
  std::string description;
  std::string default_value;
  bool required = false;
  std::vector<std::string> needs, excludes;  // names of other options, sorted

  bool positional() const { return names.empty(); }
};

// In the order of their definition.
std::vector<OptionText> options_of(const CLI::App& app);

// The options that `subcommand` takes: its own, then those of its program that it lacks.
std::vector<OptionText> all_options_of(const CLI::App& subcommand);

}  // namespace combiner
