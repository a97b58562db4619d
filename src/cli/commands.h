// The program's subcommands, one per file. Each function declares its subcommand's options on
// `command` and returns the action to run after parsing. The action throws Error on failure.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>
#include <vector>

#include "cli/program.h"

namespace combiner {

std::function<void()> bench_command(CLI::App& command);
std::function<void()> complete_command(CLI::App& command);
std::function<void()> compress_command(CLI::App& command);
std::function<void()> decompress_command(CLI::App& command);
std::function<void()> eval_command(CLI::App& command);
std::function<void()> info_command(CLI::App& command);
std::function<void()> nearest_command(CLI::App& command);
std::function<void()> quantize_command(CLI::App& command);
std::function<void()> sample_command(CLI::App& command);
std::function<void()> serve_command(CLI::App& command);
std::function<void()> shell_completion_command(CLI::App& command);
std::function<void()> train_command(CLI::App& command);

// All of them, sorted by name.
std::vector<Command> commands();

}  // namespace combiner
