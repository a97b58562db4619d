// A limit on how many images of a data set are used.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "combiner/dataset.h"

namespace combiner {

// The number of images if only the first `limit` are used; all of them if there is no limit.
inline int64_t limited_size(const Dataset& images, std::optional<int64_t> limit) {
  return std::min(images.size(), limit.value_or(images.size()));
}

}  // namespace combiner
