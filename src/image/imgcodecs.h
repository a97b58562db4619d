// OpenCV's image decoders, loaded on first use. They bring in more than a hundred libraries, which
// take longer to load than everything else before a sample's first pixel, and most commands read no
// pictures.
#pragma once

#include <opencv2/core.hpp>

namespace combiner {

// Functions of opencv2/imgcodecs.hpp.
struct ImageCodecs {
  cv::Mat (*imdecode)(cv::InputArray bytes, int flags);
};

// Loads the library on the first call. Throws Error if this fails.
const ImageCodecs& image_codecs();

}  // namespace combiner
