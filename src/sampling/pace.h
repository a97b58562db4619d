// When a team of threads had better rest and leave the work to one of them.
#pragma once

#include <cstdint>

namespace combiner {

// A team shares every product of a position, and its threads wait for each other some fifty times a
// position. If another program takes one of their processors away, each wait may last until that
// thread gets its turn again, and the team is far slower than one thread alone. Compares the two as
// they go, by the seconds that positions take, and chooses for each position.
class TeamPace {
 public:
  // Whether the next position is for one thread alone.
  bool alone() const { return alone_; }
  // To be called after each position with what it took.
  void took(double seconds);

 private:
  // Positions whose mean is compared.
  static constexpr int kWindow = 4;
  // Positions alone after the team was slower; twice as many each time that it is again.
  static constexpr int64_t kFirstRest = 256, kLongestRest = 4096;
  // A team this many times slower than one thread rests at once. Otherwise it must be slower again
  // after a window alone: any program is held up now and then, and later positions take longer.
  static constexpr double kHopeless = 4;
  // Windows in which the team was faster, after which the next rest is short again.
  static constexpr int kTrusted = 64;

  void end_window(double mean);

  bool alone_ = true;  // at first, to know how long that takes
  double alone_seconds_ = 0;
  double sum_ = 0;
  int count_ = 0;
  int64_t rest_ = 0;  // positions alone still to come
  int64_t next_rest_ = kFirstRest;
  bool suspect_ = false;
  int faster_ = 0;  // windows in a row
};

}  // namespace combiner
