// Captures what a call prints to standard error.
#pragma once

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <fstream>
#include <future>
#include <iterator>
#include <string>

#include "temp_folder.h"

namespace combiner {

// Everything that the process, on any thread, prints to standard error while `function` runs.
template <class Function>
std::string stderr_of(Function function) {
  const TempFolder folder;
  const std::filesystem::path path = folder / "stderr";
  const int saved = ::dup(STDERR_FILENO);
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (saved < 0 || file < 0) throw std::runtime_error("can't redirect standard error");
  ::dup2(file, STDERR_FILENO);
  ::close(file);
  function();
  ::dup2(saved, STDERR_FILENO);
  ::close(saved);
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

// Whether unshare(CLONE_FILES), which `quietly` uses, is permitted. Some sandboxes forbid it.
inline bool threads_can_have_own_descriptors() {
  return std::async(std::launch::async, [] { return ::unshare(CLONE_FILES) == 0; }).get();
}

}  // namespace combiner
