// How a picture has to be turned before it is looked at.
#pragma once

#include <cstdint>
#include <opencv2/core.hpp>
#include <span>

namespace combiner {

// The orientation, 1 to 8, that EXIF data in a JPEG, PNG or WebP file gives; 1, upright, if there
// is none. Other files are upright: OpenCV turns TIFF pictures while it decodes them, and the other
// formats have no such tag.
int orientation_of(std::span<const uint8_t> bytes);

// Turns and mirrors a picture of this orientation, so that it is upright.
cv::Mat upright(const cv::Mat& picture, int orientation);

}  // namespace combiner
