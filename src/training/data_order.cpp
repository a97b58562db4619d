#include "training/data_order.h"

#include <cstddef>
#include <numeric>
#include <utility>

#include "base/counter_random.h"

namespace combiner {

DataOrder::Place DataOrder::at(int64_t n) {
  const int64_t pass = n / size_;
  const auto shuffle_stream = static_cast<uint64_t>(2 * pass);
  const uint64_t flip_stream = shuffle_stream + 1;
  if (pass != pass_) {
    permutation_.resize(static_cast<size_t>(size_));
    std::iota(permutation_.begin(), permutation_.end(), int64_t{0});
    for (size_t i = permutation_.size(); i > 1; --i) {
      const double u = counter_uniform(seed_, shuffle_stream, i);
      std::swap(permutation_[i - 1], permutation_[static_cast<size_t>(u * static_cast<double>(i))]);
    }
    pass_ = pass;
  }
  const auto place = static_cast<size_t>(n % size_);
  return {permutation_[place], flips_ && counter_uniform(seed_, flip_stream, place) < 0.5};
}

}  // namespace combiner
