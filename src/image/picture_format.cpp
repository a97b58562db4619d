#include "image/picture_format.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "image/bytes.h"

namespace combiner {
namespace {

using namespace std::string_view_literals;

bool is_digit(uint8_t byte) { return byte >= '0' && byte <= '9'; }

}  // namespace

bool is_jpeg(std::span<const uint8_t> start) { return begins_with(start, "\xFF\xD8\xFF"); }

bool is_png(std::span<const uint8_t> start) { return begins_with(start, "\x89PNG\r\n\x1A\n"); }

// Two letters, and then the size of a header that a text with these letters can't give.
bool is_bmp(std::span<const uint8_t> start) {
  constexpr std::array<uint8_t, 7> kHeaderBytes = {12, 40, 52, 56, 64, 108, 124};
  return begins_with(start, "BM") && start.size() >= 18 &&
         std::ranges::find(kHeaderBytes, start[14]) != kHeaderBytes.end() &&
         begins_with(start.subspan(15), "\0\0\0"sv);
}

bool is_tiff(std::span<const uint8_t> start) {
  constexpr std::array kSignatures = {"II*\0"sv, "MM\0*"sv, "II+\0"sv, "MM\0+"sv};  // + is BigTIFF
  return std::ranges::any_of(
      kSignatures, [&](std::string_view signature) { return begins_with(start, signature); });
}

bool is_webp(std::span<const uint8_t> start) {
  return begins_with(start, "RIFF") && start.size() >= 12 && begins_with(start.subspan(8), "WEBP");
}

bool is_pnm(std::span<const uint8_t> start) {
  if (start.size() < 4 || start[0] != 'P' || start[1] < '1' || start[1] > '7') return false;
  if (!is_space(start[2])) return false;
  // A text may begin with "P5 ", so look at what follows: the width, a comment or a PAM's field.
  const auto next =
      std::ranges::find_if_not(start.subspan(2), [](uint8_t byte) { return is_space(byte); });
  if (next == start.end()) return true;
  return *next == '#' || (start[1] == '7' ? *next >= 'A' && *next <= 'Z' : is_digit(*next));
}

bool is_picture(std::span<const uint8_t> start) {
  return is_jpeg(start) || is_png(start) || is_tiff(start) || is_webp(start) || is_bmp(start) ||
         is_pnm(start);
}

}  // namespace combiner
