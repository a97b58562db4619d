#include "image/label.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <opencv2/imgproc.hpp>
#include <string>
#include <vector>

#include "base/round_up.h"
#include "image/compose.h"

namespace combiner {
namespace {

// OpenCV's font is made of strokes, which are ragged and too thin or too thick at this size. So a
// line is drawn enlarged and then averaged over areas.
constexpr int kEnlargement = 4;
constexpr int kFont = cv::FONT_HERSHEY_SIMPLEX;
constexpr double kFontScale = 0.42 * kEnlargement;  // of capitals 21 pixels high
constexpr int kStroke = 4;
constexpr int kBaseline = 12;  // of kTextLine

Image line_of(const std::string& text) {
  int below = 0;  // the baseline, which is the same for every line
  const int length = cv::getTextSize(text, kFont, kFontScale, kStroke, &below).width;
  const int width = std::max(1, ceil_div(length, kEnlargement));
  cv::Mat enlarged(kEnlargement * kTextLine, kEnlargement * width, CV_8UC1, cv::Scalar(255));
  cv::putText(enlarged, text, {kStroke / 2, kEnlargement * kBaseline}, kFont, kFontScale,
              cv::Scalar::all(0), kStroke, cv::LINE_AA);
  cv::Mat grey;
  cv::resize(enlarged, grey, {width, kTextLine}, 0, 0, cv::INTER_AREA);
  Image line = white_image(width, kTextLine);
  cv::Mat target(kTextLine, width, CV_8UC3, line.pixels.data());
  cv::cvtColor(grey, target, cv::COLOR_GRAY2RGB);
  return line;
}

}  // namespace

Image label(std::string_view text) {
  std::vector<Image> lines;
  for (size_t first = 0; first <= text.size();) {
    const size_t last = std::min(text.find('\n', first), text.size());
    lines.push_back(line_of(std::string(text.substr(first, last - first))));
    first = last + 1;
  }
  return stacked(lines, 0);
}

Image with_heading(std::string_view heading, const Image& image, int gap) {
  return stacked(std::array{white_image(1, gap), label(heading), image}, 0);
}

}  // namespace combiner
