// Measuring a rate by doing the same work several times.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>

#include "combiner/cancel.h"

namespace combiner {

// The limits of a measurement.
struct Effort {
  int threads = 1;
  int repeats = 5;      // at most
  double seconds = 10;  // for all repeats together; one repeat is always made
  Cancel cancel = {};   // asked now and then, by any thread

  double seconds_each() const { return seconds / repeats; }
};

struct Rate {
  double median = 0;  // per second
  double spread = 0;  // (maximum - minimum) / median
  int repeats = 0;
};

// Calls `once` as often as the effort allows. `once` does some work and returns its rate, or
// nullopt if it was asked to end. Returns nullopt if not even one repeat was completed.
std::optional<Rate> repeat(const Effort& effort,
                           const std::function<std::optional<double>()>& once);

// For work too short to time by itself. `work` does it `times` times and returns the seconds taken,
// or nullopt if it was asked to end. The work is warmed up, then done so many times per repeat that
// all repeats together fill the effort's seconds. The rate counts single executions of the work.
std::optional<Rate> repeat_short(const Effort& effort,
                                 const std::function<std::optional<double>(int64_t times)>& work);

// Returns the seconds that `work` takes.
double seconds_of(const std::function<void()>& work);

}  // namespace combiner
