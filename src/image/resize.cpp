#include "image/resize.h"

#include <algorithm>
#include <cstdint>
#include <opencv2/imgproc.hpp>

namespace combiner {

Rectangle centred_part(const Image& image, int width, int height) {
  const int64_t fitting_width = int64_t{image.height} * width / height;
  const int64_t fitting_height = int64_t{image.width} * height / width;
  const int part_width = static_cast<int>(std::clamp<int64_t>(fitting_width, 1, image.width));
  const int part_height = static_cast<int>(std::clamp<int64_t>(fitting_height, 1, image.height));
  return {(image.width - part_width) / 2, (image.height - part_height) / 2, part_width,
          part_height};
}

Image resample(const Image& image, const Rectangle& part, int width, int height) {
  // cv::Mat has no constructor for constant pixels; this one is only read.
  const cv::Mat source(image.height, image.width, CV_8UC3,
                       const_cast<uint8_t*>(image.pixels.data()));
  const cv::Mat wanted = source(cv::Rect(part.left, part.top, part.width, part.height));
  const bool shrinks = part.width >= width && part.height >= height;

  Image resized{width, height, std::vector<uint8_t>(size_t{3} * width * height)};
  cv::Mat target(height, width, CV_8UC3, resized.pixels.data());
  cv::resize(wanted, target, target.size(), 0, 0, shrinks ? cv::INTER_AREA : cv::INTER_CUBIC);
  return resized;
}

Image resize_to(const Image& image, int width, int height) {
  return resample(image, centred_part(image, width, height), width, height);
}

}  // namespace combiner
