// Which image comes when: a seeded permutation for each pass over the data.
#pragma once

#include <cstdint>
#include <vector>

namespace combiner {

// Depends on nothing but the seed and the number of the image, so training resumes anywhere.
class DataOrder {
 public:
  DataOrder(uint64_t seed, int64_t size, bool flips) : seed_(seed), size_(size), flips_(flips) {}

  struct Place {
    int64_t index;  // in the data set
    bool flipped;   // to be mirrored left to right
  };
  // The n-th image of training, n = 0, 1, ...
  Place at(int64_t n);

 private:
  uint64_t seed_;
  int64_t size_;
  bool flips_;
  int64_t pass_ = -1;  // whose permutation is at hand
  std::vector<int64_t> permutation_;
};

}  // namespace combiner
