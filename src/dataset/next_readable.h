// A data set for a training that bad pictures don't end.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>

#include "combiner/dataset.h"

namespace combiner {

// Another data set in which the next image that can be read stands in for one that can't.
class NextReadable : public Dataset {
 public:
  // on_bad is told once of each image that can't be read.
  NextReadable(std::shared_ptr<const Dataset> whole, OnBadImage on_bad);

  int64_t size() const override { return whole_->size(); }
  int width() const override { return whole_->width(); }
  int height() const override { return whole_->height(); }
  // Throws Error if no image can be read.
  void read(int64_t index, std::span<uint8_t> pixels) const override;
  std::string describe(int64_t index) const override { return whole_->describe(index); }

 private:
  bool read_one(int64_t index, std::span<uint8_t> pixels) const;

  std::shared_ptr<const Dataset> whole_;
  OnBadImage on_bad_;
  mutable std::mutex mutex_;  // guards bad_ and on_bad_
  mutable std::set<int64_t> bad_;
};

}  // namespace combiner
