#include "image/picture_format.h"

#include <string_view>

#include "catch.h"
#include "image/picture_files.h"

namespace combiner {
namespace {

using namespace std::string_view_literals;

bool is_picture_start(const Bytes& bytes) {
  return is_picture(std::span(bytes).first(std::min(bytes.size(), kSignatureBytes)));
}

TEST_CASE("Pictures are told by their first bytes") {
  CHECK(is_picture_start(png(1, 1, 8, png_grey, {1})));
  CHECK(is_picture_start(small_jpeg()));
  CHECK(is_picture_start(turned_webp(1)));
  CHECK(is_picture_start(bmp(1, 1, 24, {1, 2, 3, 0})));
  CHECK(is_picture_start(rgb_tiff(1, 1, 8, {1, 2, 3})));
  for (const std::string_view text :
       {"P1\n1 1\n0"sv, "P2 1 1 255 0"sv, "P3\t1 1 255 0 0 0"sv, "P4\r\n8 1\n."sv, "P5\n#c\n1 1"sv,
        "P6 1 1 255\n..."sv, "P7\nWIDTH 1\n"sv, "MM\0*\0\0\0\x08"sv}) {
    INFO(text);
    CHECK(is_picture_start(bytes_of(text)));
  }
}

TEST_CASE("Other files are no pictures") {
  for (const std::string_view text :
       {""sv, "P"sv, "P5"sv, "P5 is a format"sv, "P8\n1 1"sv, "P7 1 1"sv, "PF"sv, "PFM\n"sv, "BM"sv,
        "BMW makes cars and motor cycles."sv, "MM*"sv, "RIFF....WAVEfmt "sv, "<!DOCTYPE html>"sv,
        "version https://git-lfs.github.com/spec/v1"sv, "GIF89a...."sv, "\x89PNG\n"sv, "\xFF\xD8"sv,
        "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"sv, "PK\3\4"sv}) {
    INFO(text);
    CHECK_FALSE(is_picture_start(bytes_of(text)));
  }
}

}  // namespace
}  // namespace combiner
