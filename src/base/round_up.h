// Divides and rounds sizes upwards.
#pragma once

namespace combiner {

// n / unit rounded up, for n >= 0. Can't overflow.
template <class Int>
constexpr Int ceil_div(Int n, Int unit) {
  return n / unit + (n % unit != 0);
}

// The smallest multiple of `unit` that is not less than n, for n >= 0.
template <class Int>
constexpr Int round_up(Int n, Int unit) {
  return (n + unit - 1) / unit * unit;
}

}  // namespace combiner
