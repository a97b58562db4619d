// Silences libraries that print to standard error, and hears what they say.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <future>
#include <string>
#include <system_error>

#include "combiner/error.h"

namespace combiner {

// Runs `function` with its standard error captured, and returns what it printed or rethrows its
// exception. The image decoders print warnings that no option turns off. Redirecting the process's
// standard error would also swallow what other threads print in the meantime, so the function runs
// on its own thread with its own file descriptors. Where the system forbids that, its output stays
// visible and the result is empty. Throws Error if the thread can't be started.
template <typename Function>
std::string quietly(Function function) {
  const auto hear = [&function] {
    std::string heard;
    int paper = -1;
    // A sandbox that forbids the former, such as a container's, usually permits the latter, which
    // here closes nothing.
    if (unshare(CLONE_FILES) == 0 || close_range(~0u, ~0u, CLOSE_RANGE_UNSHARE) == 0) {
      paper = memfd_create("stderr", MFD_CLOEXEC);
      if (paper >= 0) dup2(paper, STDERR_FILENO);
    }
    // The thread's descriptors end with it, after an exception too.
    function();
    std::array<char, 512> part;
    ssize_t size = 0;
    for (off_t at = 0; paper >= 0 && (size = pread(paper, part.data(), part.size(), at)) > 0;
         at += size)
      heard.append(part.data(), static_cast<size_t>(size));
    return heard;
  };
  std::future<std::string> heard;
  try {
    heard = std::async(std::launch::async, hear);
  } catch (const std::system_error& error) {
    throw Error(
        fmt::format("can't start a thread to decode a picture: {}", error.code().message()));
  }
  return heard.get();
}

}  // namespace combiner
