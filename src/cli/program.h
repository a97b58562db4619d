// What is the same for every subcommand: parsing, errors and exit codes.
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

// Runs the subcommand that the command line names. Data goes to standard output, everything else to
// standard error. Returns the exit code: 0 for success, 1 for a failure or an interrupt, 2 for a
// wrong command line.
int run_program(const std::vector<Command>& commands, int argc, char** argv);

}  // namespace combiner
