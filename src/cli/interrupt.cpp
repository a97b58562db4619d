#include "cli/interrupt.h"

#include <array>
#include <csignal>

namespace combiner {
namespace {

// A signal handler can only reach globals.
std::atomic<bool> interrupted{false};
static_assert(std::atomic<bool>::is_always_lock_free);

constexpr std::array kSignals = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};

// The next signal of those that were caught kills the process.
void on_signal(int) {
  interrupted = true;
  for (const int signal : kSignals) {
    struct sigaction now = {};
    sigaction(signal, nullptr, &now);
    if (now.sa_handler == on_signal) std::signal(signal, SIG_DFL);
  }
}

}  // namespace

const std::atomic<bool>& catch_interrupts() {
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  for (const int signal : kSignals) {
    struct sigaction before = {};
    sigaction(signal, nullptr, &before);
    if (before.sa_handler != SIG_IGN) sigaction(signal, &action, nullptr);
  }
  return interrupted;
}

Cancel cancel_if(const std::atomic<bool>& interrupted) {
  return Cancel([&interrupted] { return interrupted.load(std::memory_order_relaxed); });
}

}  // namespace combiner
