#include "image/read_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/file_kind.h"
#include "base/lower_case.h"
#include "base/read_file.h"
#include "combiner/error.h"
#include "image/bytes.h"
#include "image/check_jpeg.h"
#include "image/check_size.h"
#include "image/imgcodecs.h"
#include "image/orientation.h"
#include "image/picture_format.h"
#include "image/png_chunk.h"
#include "image/quietly.h"
#include "image/read_pnm.h"
#include "image/tiff_tags.h"

namespace combiner {
namespace fs = std::filesystem;
namespace logging = cv::utils::logging;

namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{1} << 30;

// Whether a line that a decoder printed speaks of something that does not change a pixel: a log
// line without a warning, a tag of a TIFF, or a chunk of a PNG that says more about the picture
// than its pixels. Such chunks have names that begin with a lower-case letter; tRNS is the alpha
// channel.
bool is_harmless(std::string_view line) {
  constexpr std::array<std::string_view, 5> kHarmless = {
      "[ INFO", "[DEBUG", "[VERBOSE", "OpenCV TIFF: TIFFReadDirectory", "OpenCV TIFF: TIFFFetch"};
  if (line.empty() || std::ranges::any_of(kHarmless, [&](std::string_view start) {
        return line.starts_with(start);
      }))
    return true;
  constexpr std::string_view kPng = "libpng warning: ";
  if (!line.starts_with(kPng)) return false;
  const std::string_view problem = line.substr(kPng.size());
  const bool names_chunk = problem.size() > 5 && problem[4] == ':';
  return names_chunk && problem[0] >= 'a' && problem[0] <= 'z' && !problem.starts_with("tRNS");
}

// Throws Error if the decoder warned of something. It has then often made up a part of the picture.
void require_no_warning(std::string_view printed, const std::string& source) {
  while (!printed.empty()) {
    const std::string_view line = printed.substr(0, printed.find('\n'));
    printed.remove_prefix(std::min(line.size() + 1, printed.size()));
    if (is_harmless(line)) continue;
    throw Error(fmt::format("{}: is damaged: the decoder says: {}", source, line));
  }
}

// OpenCV prints what libtiff says of damage at this log level only. The level is one for all
// threads, so those that read a TIFF take turns.
class TiffWarnings {
 public:
  TiffWarnings() : lock_(turn()), before_(logging::setLogLevel(logging::LOG_LEVEL_DEBUG)) {}
  ~TiffWarnings() { logging::setLogLevel(before_); }
  TiffWarnings(const TiffWarnings&) = delete;
  TiffWarnings& operator=(const TiffWarnings&) = delete;

 private:
  static std::mutex& turn() {
    static std::mutex mutex;
    return mutex;
  }

  std::lock_guard<std::mutex> lock_;
  logging::LogLevel before_;
};

// What may be wrong with a picture that OpenCV doesn't decode.
std::string why_undecodable(std::span<const uint8_t> bytes) {
  if (is_png(bytes)) return "is a PNG picture that is damaged or truncated";
  if (is_jpeg(bytes)) return "is a JPEG picture that is damaged or truncated";
  const char* const format = is_tiff(bytes) ? "TIFF" : is_webp(bytes) ? "WebP" : "BMP";
  return fmt::format(
      "is a {} picture that is damaged, truncated, too large or of a kind that OpenCV doesn't read",
      format);
}

cv::Mat decode_by_opencv(const std::vector<uint8_t>& bytes, const std::string& source) {
  // JPEGs are converted to colour because some are not RGB; they have neither alpha nor 16-bit
  // samples. All other formats are decoded unchanged, so that the checks below can see both.
  const int flags =
      is_jpeg(bytes) ? cv::IMREAD_COLOR | cv::IMREAD_IGNORE_ORIENTATION : cv::IMREAD_UNCHANGED;
  const ImageCodecs& codecs = image_codecs();
  cv::Mat decoded;
  std::string reason;
  std::optional<TiffWarnings> warnings;
  if (is_tiff(bytes)) warnings.emplace();
  const std::string printed = quietly([&] {
    try {
      decoded = codecs.imdecode(bytes, flags);
    } catch (const cv::Exception& error) {
      if (error.err.find("CV_IO_MAX_IMAGE_PIXELS") != std::string::npos)
        throw TooLarge(
            fmt::format("{}: is too large: expected at most {} pixels", source, most_pixels()));
      reason = fmt::format(" (OpenCV: {})", error.err);
    }
  });
  warnings.reset();
  if (decoded.empty()) throw Error(fmt::format("{}: {}{}", source, why_undecodable(bytes), reason));
  if (!is_jpeg(bytes)) require_no_warning(printed, source);  // check_jpeg hears more
  return decoded;
}

void require_picture(std::span<const uint8_t> bytes, const std::string& source) {
  if (is_picture(bytes)) return;
  const std::string kind = file_kind(std::as_bytes(bytes));
  throw Error(fmt::format("{}: is not a picture that can be read; {}", source,
                          kind.empty() ? "expected PNG, JPEG, WebP, TIFF, BMP, PBM, PGM, "
                                         "PPM or PAM"
                                       : "it is " + kind));
}

// Refuses what OpenCV gets wrong: it shifts the 5 or 6 bits of a sample up, which makes the picture
// too dark, and makes colours under the oldest header grey.
void check_bmp(std::span<const uint8_t> bytes, const std::string& source) {
  constexpr size_t kHeaderBytes = 14, kOldestHeader = 12, kBitsPerPixel = 28;
  if (!is_bmp(bytes)) return;
  if (bytes[kHeaderBytes] == kOldestHeader)
    throw Error(fmt::format("{}: is a BMP of OS/2's kind; convert it first", source));
  if (bytes.size() > kBitsPerPixel && bytes[kBitsPerPixel] == 16)
    throw Error(
        fmt::format("{}: is a BMP of 16 bits a pixel, so 5 or 6 a sample; expected 8; convert "
                    "it first",
                    source));
}

// The same for TIFF: OpenCV makes 8 bits of some samples of 16, takes signed samples for
// unsigned ones, and takes memory for a whole tile, however much larger than the picture.
void check_tiff(std::span<const uint8_t> bytes, const std::string& source) {
  constexpr uint16_t kBitsPerSample = 258, kTileWidth = 322, kTileLength = 323, kFormat = 339;
  constexpr uint64_t kSigned = 2;
  if (!is_tiff(bytes)) return;
  if (tiff_tag(bytes, kBitsPerSample) == 16)
    throw Error(fmt::format("{}: has samples of 16 bits; expected 8; convert it first", source));
  if (tiff_tag(bytes, kFormat) == kSigned)
    throw Error(fmt::format("{}: has signed samples; expected 0 to 255; convert it first", source));
  const uint64_t width = tiff_tag(bytes, kTileWidth).value_or(1);
  const uint64_t height = tiff_tag(bytes, kTileLength).value_or(1);
  const auto most = static_cast<uint64_t>(most_pixels());
  if (width > most || height > most || width * height > most)
    throw TooLarge(fmt::format("{}: is too large: has tiles of {} x {}; expected at most {} pixels",
                               source, width, height, most));
}

// Unlike OpenCV's own check, says the size, and looks at nothing else before.
void check_png_size(std::span<const uint8_t> bytes, const std::string& source) {
  constexpr size_t kWidth = 16, kHeight = 20;
  if (!is_png(bytes) || bytes.size() < kHeight + 4) return;
  check_size(static_cast<int64_t>(number(bytes, kWidth, 4)),
             static_cast<int64_t>(number(bytes, kHeight, 4)), source);
}

[[noreturn]] void fail_transparent(int alpha, int y, int x, const std::string& source) {
  throw Error(
      fmt::format("{}: is transparent: alpha {} at row {}, column {}; expected 255 everywhere; "
                  "flatten it onto a background first",
                  source, alpha, y, x));
}

// The sample that is transparent in a grey PNG, if there is one: OpenCV doesn't tell.
std::optional<int> transparent_grey(std::span<const uint8_t> bytes) {
  constexpr size_t kDepth = 24, kColourType = 25;
  if (!is_png(bytes) || bytes.size() <= kColourType || bytes[kColourType] != 0) return {};
  const std::span<const uint8_t> sample = png_chunk(bytes, "tRNS");
  if (sample.size() != 2) return {};
  const int most = (1 << std::min<int>(bytes[kDepth], 8)) - 1;
  return (sample[0] << 8 | sample[1]) * 255 / most;
}

void require_opaque_grey(const cv::Mat& grey, int transparent, const std::string& source) {
  for (int y = 0; y < grey.rows; ++y)
    for (int x = 0; x < grey.cols; ++x)
      if (grey.at<uint8_t>(y, x) == transparent) fail_transparent(0, y, x, source);
}

// The upright picture: grey, BGR or BGRA.
cv::Mat decode(const std::vector<uint8_t>& bytes, const std::string& source) {
  require_picture(bytes, source);
  if (is_pnm(bytes)) return read_pnm(bytes, source);
  if (is_jpeg(bytes)) check_jpeg(bytes, source);
  check_png_size(bytes, source);
  check_bmp(bytes, source);
  check_tiff(bytes, source);
  const cv::Mat decoded = decode_by_opencv(bytes, source);
  check_size(decoded.cols, decoded.rows, source);  // the environment may give OpenCV another limit
  if (const auto grey = transparent_grey(bytes); grey && decoded.type() == CV_8UC1)
    require_opaque_grey(decoded, *grey, source);
  // OpenCV applies the orientation only when it converts to colour, and not for every format.
  return upright(decoded, orientation_of(bytes));
}

void require_8_bits(const cv::Mat& decoded, const std::string& source) {
  if (decoded.depth() == CV_8U) return;
  throw Error(fmt::format("{}: has samples of {} bits{}; expected 8; convert it first", source,
                          8 * decoded.elemSize1(),
                          decoded.depth() >= CV_32F ? ", floating-point" : ""));
}

void require_opaque(const cv::Mat& bgra, const std::string& source) {
  for (int y = 0; y < bgra.rows; ++y) {
    for (int x = 0; x < bgra.cols; ++x) {
      const int alpha = bgra.at<cv::Vec4b>(y, x)[3];
      if (alpha != 255) fail_transparent(alpha, y, x, source);
    }
  }
}

int conversion_to_rgb(const cv::Mat& decoded, const std::string& source) {
  switch (decoded.channels()) {
    case 1:
      return cv::COLOR_GRAY2RGB;
    case 3:
      return cv::COLOR_BGR2RGB;
    case 4:
      require_opaque(decoded, source);
      return cv::COLOR_BGRA2RGB;
    default:
      throw Error(
          fmt::format("{}: has {} channels; expected 1 (grey), 3 (colour) or 4 (with alpha)",
                      source, decoded.channels()));
  }
}

}  // namespace

Image decode_image(const std::vector<uint8_t>& bytes, const std::string& source) {
  const cv::Mat decoded = decode(bytes, source);
  require_8_bits(decoded, source);
  check_size(decoded.cols, decoded.rows, source);
  Image image{decoded.cols, decoded.rows, std::vector<uint8_t>(3 * decoded.total())};
  cv::Mat rgb(image.height, image.width, CV_8UC3, image.pixels.data());
  cv::cvtColor(decoded, rgb, conversion_to_rgb(decoded, source));
  return image;
}

Image read_image(const fs::path& path) {
  return decode_image(read_file(path, kMaxFileBytes), path.string());
}

bool has_image_extension(const fs::path& path) {
  static constexpr std::array<std::string_view, 20> kExtensions = {
      ".bmp", ".dib", ".exr", ".hdr", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm",  ".pfm",
      ".pgm", ".pic", ".png", ".pnm", ".ppm", ".ras", ".sr",   ".tif", ".tiff", ".webp"};
  const std::string extension = lower_case(path.extension().string());
  return std::ranges::find(kExtensions, extension) != kExtensions.end();
}

}  // namespace combiner
