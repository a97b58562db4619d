// Some of the images of another data set, such as those held out for validation.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "combiner/dataset.h"

namespace combiner {

class Subset : public Dataset {
 public:
  // The images of `whole` with these numbers, in this order. Throws Error if `whole` lacks one.
  Subset(std::shared_ptr<const Dataset> whole, std::vector<int64_t> indices);

  int64_t size() const override { return static_cast<int64_t>(indices_.size()); }
  int width() const override { return whole_->width(); }
  int height() const override { return whole_->height(); }
  void read(int64_t index, std::span<uint8_t> pixels) const override {
    whole_->read(at(index), pixels);
  }
  std::string describe(int64_t index) const override { return whole_->describe(at(index)); }

 private:
  int64_t at(int64_t index) const { return indices_[static_cast<size_t>(index)]; }

  std::shared_ptr<const Dataset> whole_;
  std::vector<int64_t> indices_;
};

// `count` of the numbers from 0 to `size` - 1, sorted; 0 <= count <= size. They are drawn at random
// and depend only on the arguments.
std::vector<int64_t> drawn_indices(int64_t size, int64_t count, uint64_t seed);

// The numbers from `first` to `end` - 1.
std::vector<int64_t> index_range(int64_t first, int64_t end);

// The numbers from 0 to `size` - 1 that are not among these sorted ones.
std::vector<int64_t> other_indices(int64_t size, std::span<const int64_t> indices);

}  // namespace combiner
