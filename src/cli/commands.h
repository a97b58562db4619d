// The program's subcommands, each in a file of its own. A subcommand's function declares its
// options on `command` and returns what runs once they are parsed; that throws Error if it fails.
#pragma once

#include <CLI/CLI.hpp>
#include <functional>

namespace combiner {

std::function<void()> bench_command(CLI::App& command);
std::function<void()> eval_command(CLI::App& command);
std::function<void()> info_command(CLI::App& command);
std::function<void()> quantize_command(CLI::App& command);
std::function<void()> sample_command(CLI::App& command);
std::function<void()> train_command(CLI::App& command);

}  // namespace combiner
