// Scripts that let shells complete the command line of a program with subcommands.
#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace combiner {

std::string bash_completion(const CLI::App& program);
std::string zsh_completion(const CLI::App& program);
std::string fish_completion(const CLI::App& program);

}  // namespace combiner
