#include "cli/launch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <utility>

#include "cli/say.h"
#include "cluster/plugin.h"
#include "combiner/error.h"

namespace combiner {
namespace {

namespace fs = std::filesystem;

// What those that start MPI's processes tell each of them: its rank.
const char* rank_told() {
  for (const char* const variable : {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK"})
    if (const char* const rank = std::getenv(variable)) return rank;
  return nullptr;
}

// The signals that those send who started the process. A child's end is one, too.
constexpr std::array kPassedOn = {SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2};

// Waits for the child and exits as it did. Passes signals on.
[[noreturn]] void watch(const std::string& program, const char* rank, pid_t child,
                        const sigset_t& signals) {
  prctl(PR_SET_NAME, "combiner-watch");  // so that `pgrep -x combiner` finds what computes
  int passed_on = 0;
  for (;;) {
    int signal = 0;
    sigwait(&signals, &signal);
    if (signal != SIGCHLD) {
      kill(child, passed_on = signal);
      continue;
    }
    int status = 0;
    if (waitpid(child, &status, WNOHANG) != child) continue;
    if (WIFEXITED(status)) _exit(WEXITSTATUS(status));
    if (!WIFSIGNALED(status)) continue;
    const int killer = WTERMSIG(status);
    if (killer == passed_on) _exit(1);  // as was asked
    std::array<char, 256> host{};
    gethostname(host.data(), host.size() - 1);
    say("{}: rank {} on {} was ended by signal {} ({}){}\n", program, rank, host.data(), killer,
        strsignal(killer), killer == SIGKILL ? "; perhaps its memory ran out" : "");
    _exit(1);
  }
}

// Goes on in a child that a watching parent outlives.
void go_on_in_child(const std::string& program, const char* rank) {
  sigset_t signals, before;
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  for (const int signal : kPassedOn) sigaddset(&signals, signal);
  sigprocmask(SIG_BLOCK, &signals, &before);
  signal(SIGCHLD, SIG_DFL);  // where it is ignored, a child leaves nothing to wait for
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child < 0) throw Error(fmt::format("can't start a process: {}", std::strerror(errno)));
  if (child > 0) watch(program, rank, child, signals);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  setpgid(0, 0);  // what is sent to the parent's group is passed on, and must not come twice
  sigprocmask(SIG_SETMASK, &before, nullptr);
}

std::unique_ptr<Cluster> join() {
  const fs::path folder = fs::canonical("/proc/self/exe").parent_path();
  const std::array places = {folder / "combiner_mpi.so",  // in the build folder
                             folder / COMBINER_LIBRARIES / "combiner_mpi.so"};  // installed
  return open_mpi(places);
}

}  // namespace

Launch::Launch(std::string program) : program_(std::move(program)), standard_error_(STDERR_FILENO) {
  const char* const rank = rank_told();
  if (!rank) return;
  go_on_in_child(program_, rank);
  cluster_ = join();
  if (cluster_->rank() == 0) return;
  ::signal(SIGBUS, SIG_DFL);  // a message would go nowhere; the parent says which signal it was
  standard_error_ = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
  const int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  for (const int stream : {STDOUT_FILENO, STDERR_FILENO}) dup2(nowhere, stream);
  ::close(nowhere);
}

Launch::~Launch() = default;

void Launch::fail(std::string_view message, int code) {
  if (cluster().size() == 1) {
    if (!message.empty()) say("{}: {}\n", program_, message);
    return;
  }
  if (cluster().fails_first() && !message.empty()) {
    const bool names_rank = message.starts_with("rank ");
    const std::string text = fmt::format(
        "{}: {}{}\n", program_, names_rank ? std::string() : cluster().name() + ": ", message);
    [[maybe_unused]] const auto written = ::write(standard_error_, text.data(), text.size());
  }
  std::fflush(stdout);  // figures that are finished; abort() may lose them
  cluster().abort(code);
}

}  // namespace combiner
