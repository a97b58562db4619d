#include "image/orientation.h"

#include <algorithm>
#include <string_view>

#include "image/bytes.h"
#include "image/picture_format.h"
#include "image/png_chunk.h"
#include "image/tiff_tags.h"

namespace combiner {
namespace {

using namespace std::string_view_literals;
using Bytes = std::span<const uint8_t>;

bool has(Bytes bytes, size_t at, std::string_view text) {
  return at <= bytes.size() && begins_with(bytes.subspan(at), text);
}

// The part of `bytes` that begins at `at` and has `size` bytes, or as many as there are.
Bytes part(Bytes bytes, size_t at, size_t size) {
  at = std::min(at, bytes.size());
  return bytes.subspan(at, std::min(size, bytes.size() - at));
}

// The block of EXIF data of each format; empty if there is none.

Bytes exif_of_jpeg(Bytes bytes) {
  constexpr std::string_view kName = "Exif\0\0"sv;
  constexpr uint8_t kApp1 = 0xE1, kStartOfScan = 0xDA;
  for (size_t at = 2; at + 4 <= bytes.size() && bytes[at] == 0xFF;) {
    const uint8_t marker = bytes[at + 1];
    if (marker == 0xFF) {  // a fill byte
      ++at;
      continue;
    }
    if (marker == kStartOfScan) break;
    const size_t length = number(bytes, at + 2, 2);
    if (marker == kApp1 && has(bytes, at + 4, kName) && length > 2 + kName.size())
      return part(bytes, at + 4 + kName.size(), length - 2 - kName.size());
    at += 2 + length;
  }
  return {};
}

Bytes exif_of_webp(Bytes bytes) {
  for (size_t at = 12; at + 8 <= bytes.size();) {
    const size_t length = number(bytes, at + 4, 4, ByteOrder::little_endian);
    if (has(bytes, at, "EXIF")) {
      const Bytes block = part(bytes, at + 8, length);
      return has(block, 0, "Exif\0\0"sv) ? block.subspan(6) : block;  // some writers add a name
    }
    at += 8 + length + length % 2;
  }
  return {};
}

Bytes exif_of(Bytes bytes) {
  if (is_jpeg(bytes)) return exif_of_jpeg(bytes);
  if (is_png(bytes)) return png_chunk(bytes, "eXIf");
  if (is_webp(bytes)) return exif_of_webp(bytes);
  return {};
}

}  // namespace

int orientation_of(std::span<const uint8_t> bytes) {
  constexpr uint16_t kOrientation = 0x0112;
  const uint64_t orientation = tiff_tag(exif_of(bytes), kOrientation).value_or(1);
  return orientation >= 1 && orientation <= 8 ? static_cast<int>(orientation) : 1;
}

cv::Mat upright(const cv::Mat& picture, int orientation) {
  constexpr int kAboutRows = 0, kLeftToRight = 1, kBoth = -1;  // of cv::flip
  cv::Mat turned = picture;
  if (orientation >= 5) cv::transpose(picture, turned);
  cv::Mat result;
  switch (orientation) {
    case 2:
    case 6:
      cv::flip(turned, result, kLeftToRight);
      return result;
    case 3:
    case 7:
      cv::flip(turned, result, kBoth);
      return result;
    case 4:
    case 8:
      cv::flip(turned, result, kAboutRows);
      return result;
    default:
      return turned;  // 1 and 5
  }
}

}  // namespace combiner
