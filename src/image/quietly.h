// Calls into libraries that print what they think.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <future>

namespace combiner {

// Runs `function` with its standard error going nowhere and returns its result or rethrows its
// exception. The image decoders print warnings that no option turns off. Redirecting the process's
// standard error would swallow what other threads print meanwhile, so the function runs on a thread
// of its own with file descriptors of its own. Where the system forbids that, it may print.
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
