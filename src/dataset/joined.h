// Several data sets as one.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "combiner/dataset.h"

namespace combiner {

// The images of all parts, one part after another.
class Joined : public Dataset {
 public:
  // There must be a part, and all must have images of the same size.
  explicit Joined(std::vector<std::shared_ptr<const Dataset>> parts);

  int64_t size() const override { return ends_.back(); }
  int width() const override { return parts_.front()->width(); }
  int height() const override { return parts_.front()->height(); }
  void read(int64_t index, std::span<uint8_t> pixels) const override;
  std::string describe(int64_t index) const override;

 private:
  struct Place {
    const Dataset& part;
    int64_t index;
  };
  Place at(int64_t index) const;

  std::vector<std::shared_ptr<const Dataset>> parts_;
  std::vector<int64_t> ends_;  // of each part, in numbers of the whole
};

}  // namespace combiner
