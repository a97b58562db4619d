// Sizes in whole multiples.
#pragma once

namespace combiner {

// The least multiple of `unit` that is no less than n >= 0.
template <class Int>
constexpr Int round_up(Int n, Int unit) {
  return (n + unit - 1) / unit * unit;
}

}  // namespace combiner
