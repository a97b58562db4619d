#include "cli/program.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <exception>
#include <memory>
#include <new>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "base/printable.h"
#include "cli/complaint.h"
#include "cli/interrupt.h"
#include "cli/launch.h"
#include "cli/options.h"
#include "cli/say.h"
#include "combiner/error.h"
#include "combiner/instruction_set.h"

namespace combiner {
namespace {

constexpr int kFailure = 1;
constexpr int kUsage = 2;
constexpr int kInterrupted = 130;  // as a shell reports Ctrl-C

// If a standard stream was closed when the program started, the next file opened would get its
// number, and output would go into that file.
void occupy_standard_streams() {
  int descriptor = ::open("/dev/null", O_RDONLY);
  while (descriptor >= 0 && descriptor <= STDERR_FILENO) descriptor = ::open("/dev/null", O_RDONLY);
  if (descriptor >= 0) ::close(descriptor);
}

struct ClosedPipe {};

[[noreturn]] void fail_to_write() {
  if (errno == EPIPE) throw ClosedPipe();
  throw Error(
      fmt::format("can't write to standard output: {}",
                  errno != 0 ? std::generic_category().message(errno) : "an earlier write failed"));
}

// CLI11 ends parsing with an exception, for --help and --version as well as for errors.
int end_parsing(const CLI::App& app, const CLI::ParseError& end) {
  if (end.get_exit_code() == 0) {
    std::ostringstream text;
    app.exit(end, text, text);
    put("{}", text.str());
    flush_output();
    return 0;
  }
  const std::vector<CLI::App*> chosen = app.get_subcommands();
  say("{}: {}\nSee {} {}--help.\n", app.get_name(), complaint(app, end), app.get_name(),
      chosen.empty() ? "" : chosen.front()->get_name() + " ");
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

// Flags are given or not; CLI11 also accepts --json=false and --json=5.
void refuse_values_of_flags(CLI::App& app) {
  for (CLI::Option* const option : app.get_options())
    if (option->get_items_expected_max() == 0) option->disable_flag_override();
}

void add_common_options(CLI::App& app) {
  add_isa_option(app);
  app.set_version_flag("--version", [&app] { return version(app); });
  refuse_values_of_flags(app);
}

int parse_and_run(CLI::App& app, const std::function<void()>& action, int argc, char** argv) {
  try {
    check_words(argc, argv);
    app.parse(argc, argv);
    check_values(app);
  } catch (const CLI::ParseError& end) {
    return end_parsing(app, end);
  }
  action();
  flush_output();
  return 0;
}

// Returns the exit code of run(). Reports an exception by fail(message, code). Allocates nothing,
// which could fail, unless the message has characters that are not for a terminal.
template <class Run, class Fail>
int guarded(const Run& run, const Fail& fail) {
  const auto failed = [&](std::string_view message, int code) {
    if (is_printable(message))
      fail(message, code);
    else
      fail(printable_lines(message), code);
    return code;
  };
  try {
    return run();
  } catch (const Interrupted& interrupt) {
    return failed(interrupt.what(), kInterrupted);
  } catch (const ClosedPipe&) {
    return failed({}, kFailure);  // whoever read the output has enough of it
  } catch (const std::bad_alloc&) {
    return failed("not enough memory", kFailure);
  } catch (const std::length_error&) {  // what was to be made is larger than any memory
    return failed("not enough memory", kFailure);
  } catch (const std::exception& error) {
    return failed(error.what(), kFailure);
  }
}

// Reading a mapped file where there is nothing any more is a signal, not an error.
void on_lost_page(int signal, siginfo_t* info, void*) {
  constexpr std::string_view kMessage =
      "combiner: a file was cut short, or can't be read any more, while it was in use; files must "
      "be replaced by renaming\n";
  // Anything else kills the program when it happens again at once.
  if (info->si_code != BUS_ADRERR) {
    std::signal(signal, SIG_DFL);
    return;
  }
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kMessage.data(), kMessage.size());
  ::_exit(kFailure);
}

void report_lost_pages() {
  struct sigaction action = {};
  action.sa_sigaction = on_lost_page;
  action.sa_flags = SA_SIGINFO;
  ::sigaction(SIGBUS, &action, nullptr);
}

void prepare_process() {
  occupy_standard_streams();
  report_lost_pages();
  // A closed pipe or a limit on files is then an error of the write, after which what is finished
  // can be kept.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

// The subcommand's action for any cluster.
ClusterAction declared(const Command& command, CLI::App& app) {
  if (const auto* const on_cluster = std::get_if<1>(&command.declare)) return (*on_cluster)(app);
  return [name = command.name, alone = std::get<0>(command.declare)(app)](Cluster& cluster) {
    if (cluster.size() > 1)
      throw Error(fmt::format("{} works in one process, and {} were started; start it without MPI",
                              name, cluster.size()));
    alone();
  };
}

}  // namespace

void put_text(std::string_view text) {
  errno = 0;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size()) fail_to_write();
}

void flush_output() {
  errno = 0;
  if (std::fflush(stdout) != 0 || std::ferror(stdout)) fail_to_write();
}

void write_output(std::span<const std::byte> bytes) {
  flush_output();
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size()) fail_to_write();
  flush_output();
}

std::unique_ptr<CLI::App> define_program(const std::vector<Command>& subcommands,
                                         ClusterAction& action) {
  auto app = std::make_unique<CLI::App>(
      "Combiner-Axial transformers of images: likelihood, sampling and training", "combiner");
  app->require_subcommand(1);
  app->fallthrough();  // for --isa; subcommands inherit this when they are added
  for (const Command& command : subcommands) {
    CLI::App* const subcommand = app->add_subcommand(command.name, command.summary);
    subcommand->final_callback([&action, own = declared(command, *subcommand)] { action = own; });
    refuse_values_of_flags(*subcommand);
  }
  add_common_options(*app);
  return app;
}

int run_program(std::vector<Command> (*subcommands)(), int argc, char** argv) {
  prepare_process();
  std::optional<Launch> launch;
  return guarded(
      [&] {
        launch.emplace("combiner");
        ClusterAction action;
        const auto app = define_program(subcommands(), action);
        return parse_and_run(
            *app, [&] { action(launch->cluster()); }, argc, argv);
      },
      [&](std::string_view message, int code) {
        if (launch)
          launch->fail(message, code);
        else
          say("combiner: {}\n", message);
      });
}

int run_tool(const char* name, const char* summary, Action (*declare)(CLI::App& command), int argc,
             char** argv) {
  prepare_process();
  return guarded(
      [&] {
        CLI::App app(summary, name);
        const Action action = declare(app);
        add_common_options(app);
        return parse_and_run(app, action, argc, argv);
      },
      [&](std::string_view message, int) {
        if (!message.empty()) say("{}: {}\n", name, message);
      });
}

}  // namespace combiner
