#include "training/data_sample.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <vector>

namespace combiner {
namespace {

constexpr int64_t kImages = 16;
constexpr size_t kPixels = 8;                     // of each image
constexpr size_t kImageDigits = kPixels * 3 * 2;  // two for each sub-pixel
constexpr int kMostDifference = 8;  // on average, between pixels that are much the same

int byte_at(std::string_view digits, size_t place) {
  int value = 0;
  std::from_chars(digits.data() + place, digits.data() + place + 2, value, 16);
  return value;
}

}  // namespace

std::string data_sample(const Dataset& data) {
  // Steps of the golden ratio fall on ever other rows and columns.
  constexpr double kStep = 0.6180339887498949;
  const auto pixels = static_cast<size_t>(data.width()) * static_cast<size_t>(data.height());
  std::vector<uint8_t> image(3 * pixels);
  std::string sample;
  const int64_t images = std::min(kImages, data.size());
  for (int64_t i = 0; i < images; ++i) {
    data.read(i * data.size() / images, image);
    for (size_t k = 1; k <= kPixels; ++k) {
      const double turns = kStep * static_cast<double>(k);
      const auto pixel =
          static_cast<size_t>((turns - std::floor(turns)) * static_cast<double>(pixels));
      for (size_t channel = 0; channel < 3; ++channel)
        sample += fmt::format("{:02x}", image[3 * pixel + channel]);
    }
  }
  return sample;
}

bool alike(std::string_view sample, std::string_view other) {
  if (sample.size() != other.size()) return false;
  const size_t images = sample.size() / kImageDigits;
  size_t same = 0;
  for (size_t i = 0; i < images; ++i) {
    int difference = 0;
    for (size_t place = i * kImageDigits; place < (i + 1) * kImageDigits; place += 2)
      difference += std::abs(byte_at(sample, place) - byte_at(other, place));
    if (difference <= kMostDifference * static_cast<int>(kImageDigits / 2)) ++same;
  }
  return 2 * same >= images;
}

}  // namespace combiner
