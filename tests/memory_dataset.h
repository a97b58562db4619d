// A data set that a test makes up.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "combiner/dataset.h"

namespace combiner {

// Images held in memory.
class MemoryDataset : public Dataset {
 public:
  // `pixels` is [images, height, width, 3].
  MemoryDataset(int width, int height, std::vector<uint8_t> pixels)
      : width_(width), height_(height), pixels_(std::move(pixels)) {}

  int64_t size() const override { return static_cast<int64_t>(pixels_.size() / image_bytes()); }
  int width() const override { return width_; }
  int height() const override { return height_; }
  void read(int64_t index, std::span<uint8_t> pixels) const override {
    const auto first = static_cast<size_t>(index) * image_bytes();
    std::copy_n(pixels_.begin() + static_cast<std::ptrdiff_t>(first), image_bytes(),
                pixels.begin());
  }
  std::string describe(int64_t index) const override { return fmt::format("picture {}", index); }

 private:
  size_t image_bytes() const { return static_cast<size_t>(width_ * height_ * 3); }

  int width_, height_;
  std::vector<uint8_t> pixels_;
};

}  // namespace combiner
