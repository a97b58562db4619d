#include "dataset/joined.h"

#include <algorithm>
#include <cassert>
#include <iterator>
#include <utility>

namespace combiner {

Joined::Joined(std::vector<std::shared_ptr<const Dataset>> parts) : parts_(std::move(parts)) {
  int64_t end = 0;
  for (const auto& part : parts_) {
    assert(part->width() == width() && part->height() == height());
    ends_.push_back(end += part->size());
  }
}

Joined::Place Joined::at(int64_t index) const {
  const auto end = std::ranges::upper_bound(ends_, index);
  const auto number = static_cast<size_t>(std::distance(ends_.begin(), end));
  return {*parts_[number], number == 0 ? index : index - ends_[number - 1]};
}

void Joined::read(int64_t index, std::span<uint8_t> pixels) const {
  const Place place = at(index);
  place.part.read(place.index, pixels);
}

std::string Joined::describe(int64_t index) const {
  const Place place = at(index);
  return place.part.describe(place.index);
}

}  // namespace combiner
