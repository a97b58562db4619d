#include "bench/random_images.h"

#include <algorithm>

#include "base/counter_random.h"

namespace combiner {
namespace {

constexpr int64_t kDistinct = 16;

}  // namespace

RandomImages::RandomImages(const ModelConfig& config, int64_t size)
    : shape_(config.image),
      size_(size),
      pixels_(static_cast<size_t>(kDistinct) * static_cast<size_t>(config.dims())) {
  for (size_t i = 0; i < pixels_.size(); ++i)
    pixels_[i] = static_cast<uint8_t>(256 * counter_uniform(0, 0, i));
}

void RandomImages::read(int64_t index, std::span<uint8_t> pixels) const {
  const auto first =
      static_cast<std::ptrdiff_t>(static_cast<size_t>(index % kDistinct) * pixels.size());
  std::copy_n(pixels_.begin() + first, pixels.size(), pixels.begin());
}

std::string RandomImages::describe(int64_t index) const {
  return "random image " + std::to_string(index);
}

}  // namespace combiner
