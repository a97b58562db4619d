// Rounds sizes up to multiples.
#pragma once

namespace combiner {

// The smallest multiple of `unit` that is not less than n, for n >= 0.
template <class Int>
constexpr Int round_up(Int n, Int unit) {
  return (n + unit - 1) / unit * unit;
}

}  // namespace combiner
