// How far long work is.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace combiner {

// "7 s", "3:07 min", "2:03 h"
std::string duration_text(double seconds);

// Writes to standard error: a line that changes if that is a terminal, else, as for a log of a
// batch system, a new line every minute. Not thread-safe.
class Progress {
 public:
  // `unit` is what is counted, in the plural: "images". `log_interval` is the time between lines
  // where there is no terminal.
  explicit Progress(std::string unit,
                    std::chrono::steady_clock::duration log_interval = std::chrono::minutes(1));
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` counts units; `fraction` (0 to 1) is the part of the whole work that is finished;
  // `figure` is an interim result such as "3.46 bits/dim". The first call must be made before the
  // work begins: the rate and the remaining time count from it. Calls may be frequent, since the
  // line on a terminal changes at most five times per second.
  void update(int64_t done, double fraction, std::string_view figure = {});

  // Erases the line so that something else can be printed. The next update shows it again.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;

  std::string line(Clock::time_point now, int64_t done, double fraction,
                   std::string_view figure) const;

  std::string unit_;
  bool on_terminal_;
  Clock::duration log_interval_;
  bool started_ = false;
  bool visible_ = false;
  Clock::time_point start_, shown_;
  int64_t start_done_ = 0;
  double start_fraction_ = 0;
};

}  // namespace combiner
