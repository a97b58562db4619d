// Messages on standard error.
#pragma once

#include <fmt/format.h>

#include <cstdio>
#include <utility>

namespace combiner {

// Prints a message. If nobody can read it any more, the work goes on all the same; fmt::print would
// throw.
template <class... Args>
void say(fmt::format_string<Args...> format, Args&&... args) {
  // Most messages fit into it without an allocation, which may fail.
  fmt::memory_buffer text;
  fmt::format_to(fmt::appender(text), format, std::forward<Args>(args)...);
  std::fwrite(text.data(), 1, text.size(), stderr);
}

}  // namespace combiner
