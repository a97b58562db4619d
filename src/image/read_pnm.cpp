#include "image/read_pnm.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <opencv2/imgproc.hpp>
#include <string>
#include <system_error>

#include "base/round_up.h"
#include "combiner/error.h"
#include "image/bytes.h"
#include "image/check_size.h"

namespace combiner {
namespace {

constexpr int64_t kMostMaxval = 65535;
constexpr int64_t kMostSide = int64_t{1} << 30;

class PnmReader {
 public:
  PnmReader(std::span<const uint8_t> bytes, std::string_view where)
      : bytes_(bytes), where_(where), kind_(bytes[1]) {}

  cv::Mat read() {
    at_ = 2;
    if (kind_ == '7')
      read_pam_header();
    else
      read_header();
    if (maxval_ < 1 || maxval_ > kMostMaxval)
      fail(fmt::format("has the maxval {}; expected 1 to 255", maxval_));
    if (maxval_ > 255) fail("has samples of 16 bits; expected 8; convert it first");
    check_size(width_, height_, where_);
    check_raster();
    cv::Mat samples(static_cast<int>(height_), static_cast<int>(width_),
                    CV_8UC(static_cast<int>(channels_)));
    if (kind_ == '1' || kind_ == '4')
      read_bits(samples);
    else
      read_samples(samples);
    return in_opencv_order(samples);
  }

 private:
  void read_header() {
    width_ = number("width", kMostSide);
    height_ = number("height", kMostSide);
    const bool bits = kind_ == '1' || kind_ == '4';
    maxval_ = bits ? 1 : number("maxval", kMostMaxval);
    channels_ = kind_ == '3' || kind_ == '6' ? 3 : 1;
    // A single space separates a binary raster from the header.
    if (kind_ >= '4' && (at_ >= bytes_.size() || !is_space(bytes_[at_++])))
      fail("is damaged or truncated: no raster follows its header");
  }

  // Lines of a name and a value, up to ENDHDR.
  void read_pam_header() {
    for (;;) {
      skip_space();
      const std::string field = word();
      if (field == "ENDHDR") break;
      if (field == "WIDTH") {
        width_ = number(field, kMostSide);
      } else if (field == "HEIGHT") {
        height_ = number(field, kMostSide);
      } else if (field == "DEPTH") {
        channels_ = number(field, kMostMaxval);
      } else if (field == "MAXVAL") {
        maxval_ = number(field, kMostMaxval);
      } else if (field == "TUPLTYPE") {
        while (at_ < bytes_.size() && bytes_[at_] != '\n') ++at_;  // DEPTH tells what matters
      } else {
        fail(fmt::format("is damaged or truncated: its header has '{}' where a field's name is due",
                         field));
      }
    }
    if (channels_ < 1 || channels_ > 4)
      fail(fmt::format("has {} channels; expected 1 to 4", channels_));
    if (at_ >= bytes_.size() || bytes_[at_++] != '\n')
      fail("is damaged or truncated: no raster follows its header");
  }

  // Skips spaces and comments.
  void skip_space() {
    while (at_ < bytes_.size()) {
      if (bytes_[at_] == '#')
        while (at_ < bytes_.size() && bytes_[at_] != '\n' && bytes_[at_] != '\r') ++at_;
      else if (is_space(bytes_[at_]))
        ++at_;
      else
        break;
    }
  }

  std::string word() {
    std::string letters;
    constexpr size_t kLongestWord = 16;
    while (at_ < bytes_.size() && bytes_[at_] >= 'A' && bytes_[at_] <= 'Z' &&
           letters.size() < kLongestWord)
      letters += static_cast<char>(bytes_[at_++]);
    return letters;
  }

  int64_t number(std::string_view what, int64_t most) {
    skip_space();
    int64_t value = 0;
    const auto* const begin = reinterpret_cast<const char*>(bytes_.data());
    const auto [end, error] = std::from_chars(begin + at_, begin + bytes_.size(), value);
    if (error == std::errc::invalid_argument || value < 0)
      fail(fmt::format("is damaged or truncated: no {} at byte {}", what, at_));
    if (error != std::errc() || value > most) fail(fmt::format("has a {} above {}", what, most));
    at_ = static_cast<size_t>(end - begin);
    return value;
  }

  // Checks before the picture's memory is asked for that the file may hold it.
  void check_raster() const {
    if (width_ == 0 || height_ == 0) fail("has no pixels");
    const bool packed = kind_ == '4';
    const int64_t row_bytes = packed ? ceil_div(width_, int64_t{8}) : width_ * channels_;
    const auto present = static_cast<int64_t>(bytes_.size() - at_);
    if (present < row_bytes * height_)
      fail(fmt::format("is truncated: {} bytes after its header; expected at least {}", present,
                       row_bytes * height_));
  }

  // In PBM, unlike the others, 1 is black.
  void read_bits(cv::Mat& samples) {
    for (int y = 0; y < samples.rows; ++y) {
      uint8_t* const row = samples.ptr(y);
      for (int x = 0; x < samples.cols; ++x) {
        const bool black = kind_ == '4' ? bytes_[at_ + x / 8] >> (7 - x % 8) & 1 : digit() == 1;
        row[x] = black ? 0 : 255;
      }
      if (kind_ == '4') at_ += static_cast<size_t>(ceil_div(samples.cols, 8));
    }
  }

  // A sample of a P1, which needs no space around it.
  int digit() {
    skip_space();
    if (at_ >= bytes_.size() || (bytes_[at_] != '0' && bytes_[at_] != '1'))
      fail(fmt::format("is damaged or truncated: no 0 or 1 at byte {}", at_));
    return bytes_[at_++] - '0';
  }

  void read_samples(cv::Mat& samples) {
    std::array<uint8_t, 256> scaled;
    for (int64_t v = 0; v <= maxval_; ++v)
      scaled[static_cast<size_t>(v)] = static_cast<uint8_t>((v * 255 + maxval_ / 2) / maxval_);
    const bool text = kind_ == '2' || kind_ == '3';
    const int row_samples = samples.cols * samples.channels();
    for (int y = 0; y < samples.rows; ++y) {
      uint8_t* const row = samples.ptr(y);
      for (int i = 0; i < row_samples; ++i) {
        const int64_t sample = text ? number("sample", kMostMaxval) : bytes_[at_++];
        if (sample > maxval_)
          fail(fmt::format("is damaged: has the sample {}; expected at most its maxval, {}", sample,
                           maxval_));
        row[i] = scaled[static_cast<size_t>(sample)];
      }
    }
  }

  static cv::Mat in_opencv_order(const cv::Mat& samples) {
    cv::Mat ordered;
    if (samples.channels() == 1) return samples;
    if (samples.channels() == 2) {  // grey and alpha
      ordered.create(samples.size(), CV_8UC4);
      const int from_to[] = {0, 0, 0, 1, 0, 2, 1, 3};
      cv::mixChannels(&samples, 1, &ordered, 1, from_to, 4);
    } else {
      cv::cvtColor(samples, ordered,
                   samples.channels() == 3 ? cv::COLOR_RGB2BGR : cv::COLOR_RGBA2BGRA);
    }
    return ordered;
  }

  [[noreturn]] void fail(std::string_view problem) const {
    throw Error(fmt::format("{}: {}", where_, problem));
  }

  std::span<const uint8_t> bytes_;
  std::string_view where_;
  uint8_t kind_;  // '1' to '7'
  size_t at_ = 0;
  int64_t width_ = 0, height_ = 0, channels_ = 0, maxval_ = 0;
};

}  // namespace

cv::Mat read_pnm(std::span<const uint8_t> bytes, std::string_view where) {
  return PnmReader(bytes, where).read();
}

}  // namespace combiner
