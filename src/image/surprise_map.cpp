#include "image/surprise_map.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <opencv2/imgproc.hpp>
#include <utility>
#include <vector>

#include "image/compose.h"
#include "image/label.h"

namespace combiner {
namespace {

constexpr size_t kChannels = 3;
constexpr int kShownSide = 256;
constexpr int kGap = 16;

constexpr int kMostBits = 24;
constexpr int kTickBits = 4;
constexpr int kTicks = kMostBits / kTickBits + 1;
constexpr int kBarWidth = 16;
constexpr int kTickWidth = 4;
constexpr int kTickGap = 4;  // between a tick and its number

// The colours of the levels [height, width], 0 to 255.
Image coloured(std::vector<uint8_t> levels, int width, int height) {
  Image image = white_image(width, height);
  cv::Mat colours(height, width, CV_8UC3, image.pixels.data());
  cv::applyColorMap(cv::Mat(height, width, CV_8UC1, levels.data()), colours, cv::COLORMAP_INFERNO);
  cv::cvtColor(colours, colours, cv::COLOR_BGR2RGB);
  return image;
}

Image map_of(std::span<const float> bits, int width, int height) {
  std::vector<uint8_t> levels;
  for (size_t i = 0; i < bits.size(); i += kChannels) {
    const float sum = bits[i] + bits[i + 1] + bits[i + 2];
    levels.push_back(static_cast<uint8_t>(std::lround(std::min(sum / kMostBits, 1.0f) * 255)));
  }
  return coloured(std::move(levels), width, height);
}

Image turned_left(const Image& image) {
  Image turned = white_image(image.height, image.width);
  for (int y = 0; y < turned.height; ++y)
    for (int x = 0; x < turned.width; ++x)
      std::copy_n(&image.pixels[kChannels * (size_t{1} * x * image.width + image.width - 1 - y)],
                  kChannels, &turned.pixels[kChannels * (size_t{1} * y * turned.width + x)]);
  return turned;
}

// A strip of all colours with 0 at the bottom, and ticks with numbers beside it. Half a line of
// text longer than `height` at each end, for the numbers there.
Image scale_bar(int height) {
  std::vector<uint8_t> levels;
  for (int y = 0; y < height; ++y)
    levels.push_back(static_cast<uint8_t>((height - 1 - y) * 255 / std::max(1, height - 1)));
  const Image strip = coloured(std::move(levels), 1, height);
  const Image tick{1, 1, {0, 0, 0}};

  std::array<Image, kTicks> numbers;
  int numbers_width = 0;
  for (int i = 0; i < kTicks; ++i) {
    numbers[i] = label(fmt::format("{}{}", i * kTickBits, i == kTicks - 1 ? "+" : ""));
    numbers_width = std::max(numbers_width, numbers[i].width);
  }
  constexpr int kNumbersLeft = kBarWidth + kTickWidth + kTickGap;
  constexpr int kTop = kTextLine / 2;
  Image bar = white_image(kNumbersLeft + numbers_width, height + kTextLine);
  for (int x = 0; x < kBarWidth; ++x) paint(strip, x, kTop, 1, bar);
  for (int i = 0; i < kTicks; ++i) {
    const int y = kTop + (height - 1) * (kTicks - 1 - i) / (kTicks - 1);
    for (int x = 0; x < kTickWidth; ++x) paint(tick, kBarWidth + x, y, 1, bar);
    paint(numbers[i], kNumbersLeft, y - kTop, 1, bar);
  }
  return beside(std::array{bar, turned_left(label("bits per pixel"))}, kTickGap);
}

}  // namespace

SurpriseMap::SurpriseMap(int width, int height)
    : magnification_(scale_to(kShownSide, width, height)),
      scale_bar_(scale_bar(std::max(height * magnification_, (kTicks - 1) * kTextLine))) {}

Image SurpriseMap::draw(const Image& image, std::span<const float> bits) const {
  assert(bits.size() == image.pixels.size());
  const Image picture = magnified(image, magnification_);
  const Image map = magnified(map_of(bits, image.width, image.height), magnification_);
  const double sum = std::accumulate(bits.begin(), bits.end(), 0.0);
  const Image text = label(fmt::format("{:.4f} bits/dim", sum / static_cast<double>(bits.size())));
  return with_margin(
      stacked(std::array{beside(std::array{picture, map, scale_bar_}, kGap), text}, kGap / 2),
      kGap);
}

}  // namespace combiner
