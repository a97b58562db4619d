// Random numbers for tests, the same in every run.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace combiner {

class Random {
 public:
  explicit Random(uint64_t seed) : engine_(seed) {}

  // A normal number with mean 0 and the given standard deviation.
  double normal(double deviation = 1.0) { return deviation * normal_(engine_); }
  std::vector<float> normals(size_t count, double deviation = 1.0) {
    std::vector<float> values(count);
    for (float& value : values) value = static_cast<float>(normal(deviation));
    return values;
  }

  // A uniform number from 0 to count - 1.
  size_t below(size_t count) {
    return std::uniform_int_distribution<size_t>(0, count - 1)(engine_);
  }
  std::vector<uint8_t> bytes(size_t number, size_t count = 256) {
    std::vector<uint8_t> values(number);
    for (uint8_t& value : values) value = static_cast<uint8_t>(below(count));
    return values;
  }

 private:
  std::mt19937_64 engine_;
  std::normal_distribution<double> normal_;
};

}  // namespace combiner
