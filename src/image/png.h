// Encoding PNG files, and the text that they carry.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "combiner/image.h"

namespace combiner {

// A text chunk (tEXt) of a PNG file: a keyword of 1 to 79 characters, and ASCII text.
struct PngText {
  std::string keyword;
  std::string text;

  bool operator==(const PngText&) const = default;
};

// Returns the bytes of a PNG file. Throws Error if the image is too large, and
// std::invalid_argument if the number of pixels does not match the image's size.
std::vector<std::byte> encode_png(const Image& image, std::span<const PngText> texts = {});

// Whether the file begins as a PNG does. False if it can't be read.
bool is_png(const std::filesystem::path& path);

// Returns the text chunks in front of a PNG file's pixels, where encode_png() puts them; also
// compressed and international ones, up to 1 MB each. Throws Error if the file can't be read, is
// not a PNG or is damaged.
std::vector<PngText> read_png_texts(const std::filesystem::path& path);

}  // namespace combiner
