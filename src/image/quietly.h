// Silences libraries that print to standard error.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <future>

namespace combiner {

// Runs `function` with its standard error discarded, and returns its result or rethrows its
// exception. The image decoders print warnings that no option turns off. Redirecting the process's
// standard error would also swallow what other threads print in the meantime, so the function runs
// on its own thread with its own file descriptors. Where the system forbids that, its output stays
// visible.
template <typename Function>
auto quietly(Function function) {
  return std::async(std::launch::async,
                    [&function] {
                      if (unshare(CLONE_FILES) == 0) {
                        const int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
                        if (nowhere >= 0) dup2(nowhere, STDERR_FILENO);
                      }
                      return function();
                    })
      .get();
}

}  // namespace combiner
