// The cheapest pass over memory that reads all of it: what read bandwidth is measured with.
#pragma once

#include <span>

namespace combiner {

// The sum of the values, added up in no order in particular.
float sum(std::span<const float> values);

}  // namespace combiner
