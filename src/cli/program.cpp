#include "cli/program.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

#include "cli/nearest_name.h"
#include "cli/options.h"
#include "combiner/error.h"
#include "combiner/instruction_set.h"

namespace combiner {
namespace {

constexpr int kFailure = 1;
constexpr int kUsage = 2;

// If a standard stream was closed when the program started, the next file opened would get its
// number, and output would go into that file.
void occupy_standard_streams() {
  int descriptor = ::open("/dev/null", O_RDONLY);
  while (descriptor >= 0 && descriptor <= STDERR_FILENO) descriptor = ::open("/dev/null", O_RDONLY);
  if (descriptor >= 0) ::close(descriptor);
}

// Buffered output only fails when it is flushed, so the program must flush before it claims
// success.
void flush_output() {
  errno = 0;
  if (std::fflush(stdout) != 0 || std::ferror(stdout))
    throw Error(fmt::format(
        "can't write to standard output: {}",
        errno != 0 ? std::generic_category().message(errno) : "an earlier write failed"));
}

const CLI::App* chosen_subcommand(const CLI::App& app) {
  const std::vector<CLI::App*> chosen = app.get_subcommands();
  return chosen.empty() ? nullptr : chosen.front();
}

std::vector<std::string> subcommand_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* const subcommand : app.get_subcommands(nullptr))
    names.push_back(subcommand->get_name());
  return names;
}

std::vector<std::string> long_option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* const option : app.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

std::string unknown_option(const std::string& name, const CLI::App& app) {
  const CLI::App* const chosen = chosen_subcommand(app);
  std::vector<std::string> names = long_option_names(app);
  if (chosen != nullptr) {
    const std::vector<std::string> own = long_option_names(*chosen);
    if (std::ranges::find(own, name) != own.end())
      return fmt::format("{} goes after {}, whose option it is", name, chosen->get_name());
    names.insert(names.end(), own.begin(), own.end());
  }
  return fmt::format("{} is not an option of {}{}", name, (chosen ? chosen : &app)->get_name(),
                     did_you_mean(name, names));
}

// A complaint about the first word of the command line that CLI11 did not expect, if there is one.
// It is told before other errors, which may follow from it.
std::optional<std::string> unknown_word(const CLI::App& app) {
  const std::vector<std::string> words = app.remaining();
  const auto word = std::ranges::find_if(words, [](const auto& text) { return text != "--"; });
  if (word == words.end()) return std::nullopt;
  if (word->starts_with('-')) return unknown_option(word->substr(0, word->find('=')), app);
  const CLI::App* const chosen = chosen_subcommand(app);
  const std::vector<std::string> subcommands = subcommand_names(app);
  if (chosen == nullptr && !subcommands.empty())
    return fmt::format("{} is no subcommand{}", *word, did_you_mean(*word, subcommands));
  return fmt::format("{} is not an argument of {}", *word, (chosen ? chosen : &app)->get_name());
}

// CLI11 ends parsing with an exception, for --help and --version as well as for errors.
int end_parsing(const CLI::App& app, const CLI::ParseError& end) {
  if (end.get_exit_code() == 0) {
    std::ostringstream text;
    app.exit(end, text, text);
    std::fputs(text.str().c_str(), stdout);
    flush_output();
    return 0;
  }
  const CLI::App* const chosen = chosen_subcommand(app);
  fmt::print(stderr, "{}: {}\nSee {} {}--help.\n", app.get_name(),
             unknown_word(app).value_or(end.what()), app.get_name(),
             chosen == nullptr ? "" : chosen->get_name() + " ");
  return kUsage;
}

// --isa SET, before or after the name of a subcommand. Acts as it is parsed, because other options'
// defaults depend on it.
void add_isa_option(CLI::App& app) {
  std::vector<std::string> names;
  for (const InstructionSet set : kInstructionSets) names.emplace_back(name(set));
  app.add_option_function<std::string>(
         "--isa",
         [](const std::string& set) {
           if (const auto cap = instruction_set_named(set)) cap_instruction_set(*cap);
         },
         "Use no more of the processor's instructions than these")
      ->check(one_of(names))
      ->default_str("native")
      ->trigger_on_parse();
}

std::string version(const CLI::App& app) {
  return fmt::format("{} {}\nprocessor: {}\nin use: {}", app.get_name(), COMBINER_VERSION,
                     processor_instructions(), instructions_in_use());
}

void add_common_options(CLI::App& app) {
  add_isa_option(app);
  app.set_version_flag("--version", [&app] { return version(app); });
}

int parse_and_run(CLI::App& app, const std::function<void()>& action, int argc, char** argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& end) {
    return end_parsing(app, end);
  }
  action();
  flush_output();
  return 0;
}

// Runs `run` and returns its exit code. Reports an exception on standard error and returns
// kFailure.
int guarded(const std::string& program, const std::function<int()>& run) {
  occupy_standard_streams();
  try {
    return run();
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "{}: not enough memory\n", program);
  } catch (const std::exception& error) {
    fmt::print(stderr, "{}: {}\n", program, error.what());
  }
  return kFailure;
}

}  // namespace

std::unique_ptr<CLI::App> define_program(const std::vector<Command>& subcommands,
                                         std::function<void()>& action) {
  auto app = std::make_unique<CLI::App>(
      "Combiner-Axial transformers of images: likelihood, sampling and training", "combiner");
  app->require_subcommand(1);
  app->fallthrough();  // for --isa; subcommands inherit this when they are added
  for (const Command& command : subcommands) {
    CLI::App* const subcommand = app->add_subcommand(command.name, command.summary);
    subcommand->final_callback([&action, own = command.declare(*subcommand)] { action = own; });
  }
  add_common_options(*app);
  return app;
}

int run_program(const std::vector<Command>& subcommands, int argc, char** argv) {
  return guarded("combiner", [&] {
    std::function<void()> action;
    const auto app = define_program(subcommands, action);
    return parse_and_run(
        *app, [&] { action(); }, argc, argv);
  });
}

int run_tool(const Command& command, int argc, char** argv) {
  return guarded(command.name, [&] {
    CLI::App app(command.summary, command.name);
    const std::function<void()> action = command.declare(app);
    add_common_options(app);
    return parse_and_run(app, action, argc, argv);
  });
}

}  // namespace combiner
