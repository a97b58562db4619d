// The cheapest pass over memory that reads all of it, for measuring read bandwidth.
#pragma once

#include <span>

namespace combiner {

// The sum of the values, added in an unspecified order.
float sum(std::span<const float> values);

}  // namespace combiner
