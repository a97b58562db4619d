#include "sampling/pace.h"

#include <algorithm>

namespace combiner {

void TeamPace::took(double seconds) {
  sum_ += seconds;
  ++count_;
  const bool hopeless = !alone_ && sum_ > kHopeless * kWindow * alone_seconds_;
  if (count_ == kWindow || hopeless) end_window(sum_ / count_);
}

void TeamPace::end_window(double mean) {
  sum_ = 0;
  rest_ -= count_;
  count_ = 0;
  if (alone_) {
    alone_seconds_ = mean;
    alone_ = rest_ > 0;
    return;
  }
  if (mean <= alone_seconds_) {
    suspect_ = false;
    if (++faster_ >= kTrusted) next_rest_ = kFirstRest;
    return;
  }
  faster_ = 0;
  alone_ = true;
  if (suspect_ || mean > kHopeless * alone_seconds_) {
    rest_ = next_rest_;
    next_rest_ = std::min(2 * next_rest_, kLongestRest);
    suspect_ = false;
  } else {
    rest_ = kWindow;
    suspect_ = true;
  }
}

}  // namespace combiner
