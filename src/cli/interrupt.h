// Turns Ctrl-C and `kill` into a flag that long computations poll.
#pragma once

#include <atomic>

namespace combiner {

// Installs the handlers. From then on, the first SIGINT or SIGTERM sets the returned flag, and the
// second one kills the process. A subcommand that sees the flag set stops cleanly: it keeps what is
// finished and throws Error("interrupted ..."), so the exit code is 1.
const std::atomic<bool>& catch_interrupts();

}  // namespace combiner
