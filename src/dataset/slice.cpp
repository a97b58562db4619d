#include "dataset/slice.h"

#include <fmt/format.h>

#include <utility>

#include "combiner/error.h"

namespace combiner {

Slice::Slice(std::shared_ptr<const Dataset> whole, int64_t first, int64_t count)
    : whole_(std::move(whole)), first_(first), count_(count) {
  if (first < 0 || count < 0 || first > whole_->size() - count) {
    throw Error(fmt::format("data set: has {} images; expected {} from image {} on", whole_->size(),
                            count, first));
  }
}

}  // namespace combiner
