// OpenCV's decoders, loaded when first asked for. They bring more than a hundred libraries with
// them, which take longer to load than all else before a sample's first pixel; most commands read
// no pictures.
#pragma once

#include <opencv2/core.hpp>

namespace combiner {

// Functions of opencv2/imgcodecs.hpp.
struct ImageCodecs {
  cv::Mat (*imdecode)(cv::InputArray bytes, int flags);
  bool (*have_image_reader)(const cv::String& path);
};

// Throws Error if the library can't be loaded.
const ImageCodecs& image_codecs();

}  // namespace combiner
