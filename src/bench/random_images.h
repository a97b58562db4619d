// A data set to measure speed on.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "combiner/config.h"
#include "combiner/dataset.h"

namespace combiner {

// Images of uniform noise, in memory: a few, which come again and again.
class RandomImages : public Dataset {
 public:
  // As many as asked for, of the model's size.
  RandomImages(const ModelConfig& config, int64_t size);

  int64_t size() const override { return size_; }
  int width() const override { return shape_.width; }
  int height() const override { return shape_.height; }
  void read(int64_t index, std::span<uint8_t> pixels) const override;
  std::string describe(int64_t index) const override;

 private:
  ImageShape shape_;
  int64_t size_;
  std::vector<uint8_t> pixels_;  // [kept images, height, width, 3]
};

}  // namespace combiner
