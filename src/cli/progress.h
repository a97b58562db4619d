// A progress line on the terminal.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace combiner {

// Writes to standard error, and only if it is a terminal. Not thread-safe.
class Progress {
 public:
  // `unit` is what is counted, in the plural: "images".
  explicit Progress(std::string unit);
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` counts units; `fraction` (0 to 1) is the part of the whole work that is finished;
  // `figure` is an interim result such as "3.46 bits/dim". The first call must be made before the
  // work begins: the rate and the remaining time count from it. Calls may be frequent, since the
  // line changes at most five times per second.
  void update(int64_t done, double fraction, std::string_view figure = {});

  // Erases the line so that something else can be printed. The next update shows it again.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;

  std::string unit_;
  bool on_terminal_;
  bool started_ = false;
  bool visible_ = false;
  Clock::time_point start_, shown_;
  int64_t start_done_ = 0;
  double start_fraction_ = 0;
};

}  // namespace combiner
