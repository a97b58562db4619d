// A data set for measuring speed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "combiner/config.h"
#include "combiner/dataset.h"

namespace combiner {

// Images of uniform noise, kept in memory: a few distinct images, repeated.
class RandomImages : public Dataset {
 public:
  // `size` images of the model's size.
  RandomImages(const ModelConfig& config, int64_t size);

  int64_t size() const override { return size_; }
  int width() const override { return shape_.width; }
  int height() const override { return shape_.height; }
  void read(int64_t index, std::span<uint8_t> pixels) const override;
  std::string describe(int64_t index) const override;

 private:
  ImageShape shape_;
  int64_t size_;
  std::vector<uint8_t> pixels_;  // [distinct images, height, width, 3]
};

}  // namespace combiner
