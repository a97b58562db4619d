#include "dataset/subset.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <iterator>
#include <numeric>
#include <utility>

#include "base/counter_random.h"
#include "base/plural.h"
#include "combiner/error.h"

namespace combiner {

Subset::Subset(std::shared_ptr<const Dataset> whole, std::vector<int64_t> indices)
    : whole_(std::move(whole)), indices_(std::move(indices)) {
  for (const int64_t index : indices_)
    if (index < 0 || index >= whole_->size())
      throw Error(fmt::format("data set: has {}; expected one with the number {}",
                              plural(whole_->size(), "image"), index));
}

std::vector<int64_t> drawn_indices(int64_t size, int64_t count, uint64_t seed) {
  assert(0 <= count && count <= size);
  constexpr uint64_t kStream = ~uint64_t{0};  // the order of the training images uses the first
  std::vector<int64_t> indices = index_range(0, size);
  for (int64_t i = 0; i < count; ++i) {
    const double u = counter_uniform(seed, kStream, static_cast<uint64_t>(i));
    std::swap(
        indices[static_cast<size_t>(i)],
        indices[static_cast<size_t>(i + static_cast<int64_t>(u * static_cast<double>(size - i)))]);
  }
  indices.resize(static_cast<size_t>(count));
  std::ranges::sort(indices);
  return indices;
}

std::vector<int64_t> index_range(int64_t first, int64_t end) {
  std::vector<int64_t> indices(static_cast<size_t>(end - first));
  std::iota(indices.begin(), indices.end(), first);
  return indices;
}

std::vector<int64_t> other_indices(int64_t size, std::span<const int64_t> indices) {
  std::vector<int64_t> others;
  std::ranges::set_difference(index_range(0, size), indices, std::back_inserter(others));
  return others;
}

}  // namespace combiner
