// Keeping the cost of something that is done again and again small.
#pragma once

#include <algorithm>
#include <chrono>

namespace combiner {

// Says when it is time: a few times a second, but never so often that it takes more than 1 % of the
// time.
class Seldom {
 public:
  // Runs `work` if it is time.
  template <class Work>
  void run(Work&& work) {
    const Clock::time_point start = Clock::now();
    if (start < next_) return;
    work();
    const Clock::time_point end = Clock::now();
    next_ = end + std::max<Clock::duration>(kShortestInterval, 99 * (end - start));
  }

 private:
  using Clock = std::chrono::steady_clock;
  static constexpr auto kShortestInterval = std::chrono::milliseconds(250);

  Clock::time_point next_ = {};
};

}  // namespace combiner
