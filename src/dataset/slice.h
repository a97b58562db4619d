// A contiguous range of another data set, such as the last 500 images, kept for validation.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "combiner/dataset.h"

namespace combiner {

class Slice : public Dataset {
 public:
  // Images `first` to `first` + `count` - 1 of `whole`. Throws Error if `whole` does not have them
  // all.
  Slice(std::shared_ptr<const Dataset> whole, int64_t first, int64_t count);

  int64_t size() const override { return count_; }
  int width() const override { return whole_->width(); }
  int height() const override { return whole_->height(); }
  void read(int64_t index, std::span<uint8_t> pixels) const override {
    whole_->read(first_ + index, pixels);
  }
  std::string describe(int64_t index) const override { return whole_->describe(first_ + index); }

 private:
  std::shared_ptr<const Dataset> whole_;
  int64_t first_;
  int64_t count_;
};

}  // namespace combiner
