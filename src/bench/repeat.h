// How a rate is measured: some work, several times.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

namespace combiner {

// What a measurement may take.
struct Effort {
  int threads = 1;
  int repeats = 5;      // at most
  double seconds = 10;  // for all repeats together; but there is always one
  // Asked now and then, from any thread; true ends the measurement.
  std::function<bool()> cancelled = [] { return false; };

  double seconds_each() const { return seconds / repeats; }
};

struct Rate {
  double median = 0;  // per second
  double spread = 0;  // (greatest - least) / median
  int repeats = 0;
};

// Calls `once`, which does some work and returns its rate, or nothing if it was cancelled: as often
// as the effort allows. Nothing if not even one repeat ended.
std::optional<Rate> repeat(const Effort& effort,
                           const std::function<std::optional<double>()>& once);

// For work too short to be timed by itself. `work` does it `times` times and returns the seconds,
// or nothing if it was cancelled. It is warmed up, and done so many times in each repeat that all
// repeats together fill the effort's seconds. The rate is that of the work done once.
std::optional<Rate> repeat_short(const Effort& effort,
                                 const std::function<std::optional<double>(int64_t times)>& work);

// The seconds that `work` takes.
double seconds_of(const std::function<void()>& work);

}  // namespace combiner
