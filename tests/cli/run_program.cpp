#include "cli/run_program.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <stdexcept>

#include "cpu/features.h"
#include "wait_until.h"

extern char** environ;

namespace combiner {
namespace {

// Opens a nameless file for reading and writing. It disappears when it is closed.
int nameless_file() {
  std::string name = (std::filesystem::temp_directory_path() / "combiner-test-XXXXXX").string();
  const int descriptor = ::mkostemp(name.data(), O_CLOEXEC);
  if (descriptor < 0) throw std::runtime_error("can't make file " + name);
  ::unlink(name.c_str());
  return descriptor;
}

std::string contents(int descriptor) {
  std::string text(static_cast<size_t>(::lseek(descriptor, 0, SEEK_END)), '\0');
  if (::pread(descriptor, text.data(), text.size(), 0) != static_cast<ssize_t>(text.size()))
    throw std::runtime_error("can't read what the program printed");
  return text;
}

}  // namespace

RunningProgram::RunningProgram(const std::vector<std::string>& arguments,
                               const std::string& out_path, const std::string& program,
                               std::vector<std::string> environment)
    : out_(nameless_file()), err_(nameless_file()) {
  std::vector<std::string> words = {program};
  if (instruction_set_cap() != InstructionSet::native)
    words.insert(words.end(), {"--isa", std::string(name(instruction_set_cap()))});
  words.insert(words.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers, variables;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  for (std::string& variable : environment) variables.push_back(variable.data());
  for (char** variable = environ; *variable; ++variable) variables.push_back(*variable);
  variables.push_back(nullptr);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (out_path.empty())
    posix_spawn_file_actions_adddup2(&actions, out_, STDOUT_FILENO);
  else
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, out_path.c_str(), O_WRONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, err_, STDERR_FILENO);
  // As a shell starts a program, even if these tests run under nohup.
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t signals;
  sigemptyset(&signals);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGUSR1}) sigaddset(&signals, signal);
  posix_spawnattr_setsigdefault(&attributes, &signals);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
  const int failure = posix_spawn(&process_, program.c_str(), &actions, &attributes,
                                  pointers.data(), variables.data());
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&actions);
  if (failure != 0) throw std::runtime_error("can't run " + program);
}

RunningProgram::~RunningProgram() {
  if (process_ > 0) {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
  ::close(out_);
  ::close(err_);
}

void RunningProgram::send(int signal) const { ::kill(process_, signal); }

ProgramResult RunningProgram::wait() {
  int status = 0;
  ::waitpid(process_, &status, 0);
  process_ = -1;
  return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), contents(out_),
          contents(err_)};
}

bool opens_file_in(const RunningProgram& program, const std::filesystem::path& folder) {
  namespace fs = std::filesystem;
  const fs::path open_files = fs::path("/proc") / std::to_string(program.process()) / "fd";
  return wait_until([&] {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(open_files, error))
      if (fs::read_symlink(entry, error).string().starts_with(folder.string())) return true;
    return false;
  });
}

}  // namespace combiner
