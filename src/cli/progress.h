// A line on the terminal that tells how far a long work is.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace combiner {

// Writes to standard error, and only if that is a terminal. For one thread at a time.
class Progress {
 public:
  // `unit` is what is counted, in the plural: "images".
  explicit Progress(std::string unit);
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  // `done` units, `fraction` (0 to 1) of the whole work; `figure` is what the work has found so
  // far: "3.46 bits/dim". The first call, made before the work begins, is the start that the rate
  // and the time left count from. May be called often: the line changes five times a second at
  // most.
  void update(int64_t done, double fraction, std::string_view figure = {});

  // Takes the line away, so that something else can be printed; the next update brings it back.
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
