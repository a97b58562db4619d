#include "image/resize.h"

#include <algorithm>
#include <cstdint>
#include <opencv2/imgproc.hpp>

namespace combiner {

namespace {

// The largest centred rectangle of the proportions width : height.
cv::Rect centre_crop(const Image& image, int width, int height) {
  const int64_t fitting_width = int64_t{image.height} * width / height;
  const int64_t fitting_height = int64_t{image.width} * height / width;
  const int crop_width = static_cast<int>(std::clamp<int64_t>(fitting_width, 1, image.width));
  const int crop_height = static_cast<int>(std::clamp<int64_t>(fitting_height, 1, image.height));
  return {(image.width - crop_width) / 2, (image.height - crop_height) / 2, crop_width,
          crop_height};
}

}  // namespace

Image resize_to(const Image& image, int width, int height) {
  // OpenCV has no matrix of constant pixels; this one is only read.
  const cv::Mat source(image.height, image.width, CV_8UC3,
                       const_cast<uint8_t*>(image.pixels.data()));
  const cv::Rect crop = centre_crop(image, width, height);
  const bool shrinks = crop.width >= width && crop.height >= height;

  Image resized{width, height, std::vector<uint8_t>(size_t{3} * width * height)};
  cv::Mat target(height, width, CV_8UC3, resized.pixels.data());
  cv::resize(source(crop), target, target.size(), 0, 0, shrinks ? cv::INTER_AREA : cv::INTER_CUBIC);
  return resized;
}

}  // namespace combiner
