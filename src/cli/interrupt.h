// Ctrl-C and `kill`, as a flag that long work looks at.
#pragma once

#include <atomic>

namespace combiner {

// From the first call on, the first SIGINT or SIGTERM sets the flag returned and the second ends
// the process at once. A subcommand that sees the flag set ends in good order: it keeps what is
// finished and throws Error("interrupted ..."), so the exit code is 1.
const std::atomic<bool>& catch_interrupts();

}  // namespace combiner
