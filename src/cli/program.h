// What all programs and subcommands share: parsing, error messages and exit codes.
#pragma once

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "cluster/cluster.h"

namespace combiner {

// What a subcommand does once the command line is parsed: alone, or on all ranks of a cluster.
using Action = std::function<void()>;
using ClusterAction = std::function<void(Cluster& cluster)>;

struct Command {
  const char* name;
  const char* summary;
  std::variant<Action (*)(CLI::App& command), ClusterAction (*)(CLI::App& command)> declare;
};

// The definition of `combiner`. When it parses a command line, it assigns the action of the
// subcommand that is named there; one that is not for clusters then throws Error on a cluster.
std::unique_ptr<CLI::App> define_program(const std::vector<Command>& subcommands,
                                         ClusterAction& action);

// Runs `combiner`; the command line names one of `subcommands()`. Data goes to standard output,
// everything else to standard error. Returns the exit code: 0 on success, 1 on a failure, 2 on an
// invalid command line, 130 if interrupted. Where MPI has started it, it is one of many (Launch).
int run_program(std::vector<Command> (*subcommands)(), int argc, char** argv);

// Runs a program without subcommands, alone. `declare` declares its options.
int run_tool(const char* name, const char* summary, Action (*declare)(CLI::App& command), int argc,
             char** argv);

// Prints to standard output. Throws Error if that can't be written.
void put_text(std::string_view text);
template <class... Args>
void put(fmt::format_string<Args...> format, Args&&... args) {
  put_text(fmt::format(format, std::forward<Args>(args)...));
}

// Buffered output only fails when it is flushed, so the program must flush before it claims
// success. Throws Error if what was printed to standard output can't be written.
void flush_output();

// Writes bytes to standard output. Throws Error if that fails.
void write_output(std::span<const std::byte> bytes);

}  // namespace combiner
