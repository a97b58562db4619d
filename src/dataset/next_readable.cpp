#include "dataset/next_readable.h"

#include <utility>

#include "combiner/error.h"

namespace combiner {

NextReadable::NextReadable(std::shared_ptr<const Dataset> whole, OnBadImage on_bad)
    : whole_(std::move(whole)), on_bad_(std::move(on_bad)) {}

void NextReadable::read(int64_t index, std::span<uint8_t> pixels) const {
  for (int64_t tries = 0; tries < size(); ++tries)
    if (read_one((index + tries) % size(), pixels)) return;
  throw Error("no image of the data set can be read any more");
}

bool NextReadable::read_one(int64_t index, std::span<uint8_t> pixels) const {
  try {
    whole_->read(index, pixels);
    return true;
  } catch (const Error& error) {
    const std::lock_guard lock(mutex_);
    if (bad_.insert(index).second) on_bad_(error.what());
    return false;
  }
}

}  // namespace combiner
