// Netpbm's formats: PBM, PGM and PPM (P1 to P6) and PAM (P7).
#pragma once

#include <cstdint>
#include <opencv2/core.hpp>
#include <span>
#include <string_view>

namespace combiner {

// The first picture of such a file, as OpenCV's decoders would return it: grey, BGR or BGRA. A
// sample v of a file with another maxval than 255 becomes round(v * 255 / maxval), as Netpbm shows
// it. (OpenCV leaves binary samples as they are, which makes the picture too dark.) Throws Error,
// with a message that starts with `where`, if the file is damaged, truncated or too large, or has a
// maxval above 255.
cv::Mat read_pnm(std::span<const uint8_t> bytes, std::string_view where);

}  // namespace combiner
