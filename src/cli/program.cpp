#include "cli/program.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <exception>
#include <new>
#include <sstream>
#include <string>
#include <system_error>

#include "error.h"

namespace combiner {
namespace {

constexpr int kFailure = 1;
constexpr int kUsage = 2;

// A file opened later must not get the number of a standard stream that came closed.
void occupy_standard_streams() {
  int descriptor = ::open("/dev/null", O_RDONLY);
  while (descriptor >= 0 && descriptor <= STDERR_FILENO) descriptor = ::open("/dev/null", O_RDONLY);
  if (descriptor >= 0) ::close(descriptor);
}

// Buffered output fails only when it is written out: success before that is none.
void flush_output() {
  errno = 0;
  if (std::fflush(stdout) != 0 || std::ferror(stdout))
    throw Error(fmt::format(
        "can't write to standard output: {}",
        errno != 0 ? std::generic_category().message(errno) : "an earlier write failed"));
}

// Ends what CLI11 ends by an exception: help and version as well as errors.
int end_parsing(const CLI::App& app, const CLI::ParseError& end) {
  if (end.get_exit_code() == 0) {
    std::ostringstream text;
    app.exit(end, text, text);
    std::fputs(text.str().c_str(), stdout);
    flush_output();
    return 0;
  }
  const std::vector<CLI::App*> chosen = app.get_subcommands();
  const std::vector<std::string> unknown = app.remaining();
  if (chosen.empty() && !unknown.empty())
    fmt::print(stderr, "combiner: {} is no subcommand\nSee combiner --help.\n", unknown.front());
  else
    fmt::print(stderr, "combiner: {}\nSee combiner {}--help.\n", end.what(),
               chosen.empty() ? "" : chosen.front()->get_name() + " ");
  return kUsage;
}

int run(const std::vector<Command>& commands, int argc, char** argv) {
  CLI::App app("Combiner-Axial transformers of images: likelihood, sampling and training",
               "combiner");
  app.set_version_flag("--version", "combiner " COMBINER_VERSION);
  app.require_subcommand(1);
  std::function<void()> chosen;
  for (const Command& command : commands) {
    CLI::App* const subcommand = app.add_subcommand(command.name, command.summary);
    const std::function<void()> action = command.declare(*subcommand);
    subcommand->final_callback([&chosen, action] { chosen = action; });
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& end) {
    return end_parsing(app, end);
  }
  chosen();
  flush_output();
  return 0;
}

}  // namespace

int run_program(const std::vector<Command>& commands, int argc, char** argv) {
  occupy_standard_streams();
  try {
    return run(commands, argc, argv);
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "combiner: not enough memory\n");
  } catch (const std::exception& error) {
    fmt::print(stderr, "combiner: {}\n", error.what());
  }
  return kFailure;
}

}  // namespace combiner
