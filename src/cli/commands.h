// The program's subcommands, one per file. Each function declares its subcommand's options on
// `command` and returns the action to run after parsing. The action throws Error on failure.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <vector>

#include "cli/program.h"

namespace combiner {

Action bench_command(CLI::App& command);
Action complete_command(CLI::App& command);
ClusterAction compress_command(CLI::App& command);
Action decompress_command(CLI::App& command);
ClusterAction eval_command(CLI::App& command);
Action info_command(CLI::App& command);
Action models_command(CLI::App& command);
Action nearest_command(CLI::App& command);
ClusterAction quantize_command(CLI::App& command);
ClusterAction sample_command(CLI::App& command);
Action serve_command(CLI::App& command);
Action shell_completion_command(CLI::App& command);
ClusterAction train_command(CLI::App& command);

// All of them, sorted by name.
std::vector<Command> commands();

}  // namespace combiner
