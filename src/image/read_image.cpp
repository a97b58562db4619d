#include "image/read_image.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>
#include <span>
#include <string>
#include <string_view>
#include <system_error>

#include "base/read_file.h"
#include "combiner/error.h"
#include "image/imgcodecs.h"
#include "image/quietly.h"

namespace combiner {
namespace fs = std::filesystem;

namespace {

constexpr uint64_t kMaxFileBytes = uint64_t{1} << 30;

bool is_jpeg(std::span<const uint8_t> bytes) {
  return bytes.size() >= 2 && bytes[0] == 0xFF && bytes[1] == 0xD8;
}

// Follows a JPEG's markers to the end-of-image marker. Unlike the other decoders, the JPEG decoder
// makes up the missing part of a truncated file instead of rejecting it.
bool jpeg_is_whole(std::span<const uint8_t> bytes) {
  size_t at = 2;  // past the start-of-image marker
  while (at + 1 < bytes.size()) {
    const uint8_t marker = bytes[at + 1];
    if (bytes[at] != 0xFF || marker == 0xFF) {
      ++at;  // compressed data or a fill byte
    } else if (marker == 0xD9) {
      return true;
    } else if (marker <= 0x01 || (marker >= 0xD0 && marker <= 0xD7)) {
      at += 2;  // an escaped 0xFF, or a marker without a segment
    } else if (at + 3 < bytes.size()) {
      at += 2 + (size_t{bytes[at + 2]} << 8 | bytes[at + 3]);
    } else {
      return false;
    }
  }
  return false;
}

cv::Mat decode(const std::vector<uint8_t>& bytes, const fs::path& path) {
  if (is_jpeg(bytes) && !jpeg_is_whole(bytes)) {
    throw Error(fmt::format("{}: is truncated: a JPEG without its end marker", path.string()));
  }
  // OpenCV applies the orientation tag only when it converts to colour. Photographs are JPEGs,
  // which have neither alpha nor 16-bit samples. All other formats are decoded unchanged, so that
  // the checks below can see both.
  const int flags = is_jpeg(bytes) ? cv::IMREAD_COLOR : cv::IMREAD_UNCHANGED;
  const ImageCodecs& codecs = image_codecs();
  cv::Mat decoded;
  std::string reason;
  quietly([&] {
    try {
      decoded = codecs.imdecode(bytes, flags);
    } catch (const cv::Exception& error) {
      reason = fmt::format(" (OpenCV: {})", error.err);
    }
  });
  if (decoded.empty()) {
    throw Error(
        fmt::format("{}: {}{}", path.string(),
                    codecs.have_image_reader(path.string())
                        ? "is damaged, truncated, too large or of a kind that OpenCV doesn't read"
                        : "isn't an image of a format that OpenCV reads",
                    reason));
  }
  return decoded;
}

void require_8_bits(const cv::Mat& decoded, const fs::path& path) {
  if (decoded.depth() == CV_8U) return;
  throw Error(fmt::format("{}: has samples of {} bits{}; expected 8; convert it first",
                          path.string(), 8 * decoded.elemSize1(),
                          decoded.depth() >= CV_32F ? ", floating-point" : ""));
}

void require_opaque(const cv::Mat& bgra, const fs::path& path) {
  for (int y = 0; y < bgra.rows; ++y) {
    for (int x = 0; x < bgra.cols; ++x) {
      const int alpha = bgra.at<cv::Vec4b>(y, x)[3];
      if (alpha == 255) continue;
      throw Error(
          fmt::format("{}: is transparent: alpha {} at row {}, column {}; expected 255 "
                      "everywhere; flatten it onto a background first",
                      path.string(), alpha, y, x));
    }
  }
}

int conversion_to_rgb(const cv::Mat& decoded, const fs::path& path) {
  switch (decoded.channels()) {
    case 1:
      return cv::COLOR_GRAY2RGB;
    case 3:
      return cv::COLOR_BGR2RGB;
    case 4:
      require_opaque(decoded, path);
      return cv::COLOR_BGRA2RGB;
    default:
      throw Error(
          fmt::format("{}: has {} channels; expected 1 (grey), 3 (colour) or 4 (with alpha)",
                      path.string(), decoded.channels()));
  }
}

bool is_hidden(const fs::directory_entry& entry) {
  return entry.path().filename().string().starts_with('.');
}

bool is_picture(const fs::directory_entry& entry) {
  return has_image_extension(entry.path()) && entry.is_regular_file();
}

[[noreturn]] void fail_to_list(const fs::path& folder, const fs::filesystem_error& error) {
  const fs::path& where = error.path1().empty() ? folder : error.path1();
  throw Error(fmt::format("{}: can't list the folder: {}", where.string(), error.code().message()));
}

}  // namespace

Image read_image(const fs::path& path) {
  const cv::Mat decoded = decode(read_file(path, kMaxFileBytes), path);
  require_8_bits(decoded, path);
  if (3 * static_cast<int64_t>(decoded.total()) > kMaxImageBytes) {
    throw Error(fmt::format("{}: is too large: {}x{} pixels; expected at most {} in all",
                            path.string(), decoded.cols, decoded.rows, kMaxImageBytes / 3));
  }
  Image image{decoded.cols, decoded.rows, std::vector<uint8_t>(3 * decoded.total())};
  cv::Mat rgb(image.height, image.width, CV_8UC3, image.pixels.data());
  cv::cvtColor(decoded, rgb, conversion_to_rgb(decoded, path));
  return image;
}

bool has_image_extension(const fs::path& path) {
  static constexpr std::array<std::string_view, 20> kExtensions = {
      ".bmp", ".dib", ".exr", ".hdr", ".jp2", ".jpe", ".jpeg", ".jpg", ".pbm",  ".pfm",
      ".pgm", ".pic", ".png", ".pnm", ".ppm", ".ras", ".sr",   ".tif", ".tiff", ".webp"};
  std::string extension = path.extension().string();
  std::ranges::transform(extension, extension.begin(), [](unsigned char letter) {
    return static_cast<char>(std::tolower(letter));
  });
  return std::ranges::find(kExtensions, extension) != kExtensions.end();
}

std::vector<std::string> list_images(const fs::path& folder) {
  std::vector<std::string> names;
  try {
    for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
      if (!is_hidden(entry) && is_picture(entry)) names.push_back(entry.path().filename().string());
    }
  } catch (const fs::filesystem_error& error) {
    fail_to_list(folder, error);
  }
  std::ranges::sort(names);
  return names;
}

std::vector<std::string> list_images_below(const fs::path& folder) {
  std::vector<std::string> names;
  try {
    const fs::recursive_directory_iterator end;
    for (fs::recursive_directory_iterator entry(folder); entry != end; ++entry) {
      if (is_hidden(*entry)) {
        entry.disable_recursion_pending();
      } else if (is_picture(*entry)) {
        names.push_back(entry->path().lexically_relative(folder).string());
      }
    }
  } catch (const fs::filesystem_error& error) {
    fail_to_list(folder, error);
  }
  std::ranges::sort(names);
  return names;
}

}  // namespace combiner
