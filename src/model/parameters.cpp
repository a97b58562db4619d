#include "model/parameters.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace combiner {

std::string shape_text(const std::vector<int64_t>& shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

size_t ParameterLayout::add(std::string name, std::vector<int64_t> shape, ParameterKind kind,
                            bool quantizable) {
  size_t count = 1;
  for (const int64_t n : shape) count *= static_cast<size_t>(n);
  const size_t offset = size;
  list.push_back({std::move(name), std::move(shape), kind, quantizable, offset, count});
  size += count;
  return offset;
}

const Parameter& ParameterLayout::at(size_t offset) const {
  return *std::ranges::lower_bound(list, offset, {}, &Parameter::offset);
}

}  // namespace combiner
