// The order of the training images: a seeded permutation for each pass over the data.
#pragma once

#include <cstdint>
#include <vector>

namespace combiner {

// Depends only on the seed and the number of the image, so training can resume anywhere.
class DataOrder {
 public:
  DataOrder(uint64_t seed, int64_t size, bool flips) : seed_(seed), size_(size), flips_(flips) {}

  struct Place {
    int64_t index;  // in the data set
    bool flipped;   // whether to mirror it left to right
  };
  // The n-th image of training, n = 0, 1, ...
  Place at(int64_t n);

 private:
  uint64_t seed_;
  int64_t size_;
  bool flips_;
  int64_t pass_ = -1;  // the pass that permutation_ is for
  std::vector<int64_t> permutation_;
};

}  // namespace combiner
