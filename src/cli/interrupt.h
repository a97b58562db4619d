// Turns Ctrl-C and `kill` into a flag that long computations poll.
#pragma once

#include <atomic>

#include "combiner/cancel.h"
#include "combiner/error.h"

namespace combiner {

// Installs the handlers. From then on, the first SIGINT (Ctrl-C), SIGTERM, SIGHUP (the terminal is
// closed) or SIGUSR1 (as batch systems send before the end) sets the returned flag, and the second
// one kills the process. A signal that was ignored when the program started stays ignored, as nohup
// wants. A subcommand that sees the flag set stops cleanly: it keeps what is finished and throws
// Interrupted.
const std::atomic<bool>& catch_interrupts();

// Ends work once `interrupted`, which must outlive it.
Cancel cancel_if(const std::atomic<bool>& interrupted);

// Says that the program was interrupted, and what is kept. The exit code is then 130.
class Interrupted : public Error {
 public:
  using Error::Error;
};

}  // namespace combiner
