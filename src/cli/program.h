// What is the same for every program and subcommand: parsing, errors and exit codes.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <vector>

namespace combiner {

struct Command {
  const char* name;
  const char* summary;
  std::function<void()> (*declare)(CLI::App& command);
};

// Runs `combiner`, whose command line names one of the subcommands. Data goes to standard output,
// everything else to standard error. Returns the exit code: 0 for success, 1 for a failure or an
// interrupt, 2 for a wrong command line.
int run_program(const std::vector<Command>& subcommands, int argc, char** argv);

// Runs a program that does only one thing, named as the command is.
int run_tool(const Command& command, int argc, char** argv);

}  // namespace combiner
