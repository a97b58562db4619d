// Reads images from files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "combiner/image.h"

namespace combiner {

// Reads a picture in any of the formats of is_picture; if the file holds several pictures, the
// first. Grey and palette images become RGB, an opaque alpha channel is dropped, and a picture is
// turned as its orientation tag says, whatever its format. The samples of a PNM file are scaled
// from its maxval to 255, as Netpbm shows them: round(v * 255 / maxval). Nothing else that would
// change a pixel's value is done: read_image throws Error if a pixel is not opaque or samples are
// floating-point or have more than 8 bits (even if all values would fit, because whoever made the
// file meant 16 bits), or 5 or 6 bits, as some BMPs have. It also throws Error if the file is
// missing, empty, not an image, damaged or truncated, and if the decoder warns of damage, and
// TooLarge before it takes memory for more than most_pixels(). Messages name the file. Thread-safe;
// prints nothing.
Image read_image(const std::filesystem::path& path);
// The same for a picture in memory, which `source` names in messages.
Image decode_image(const std::vector<uint8_t>& bytes, const std::string& source);

// True if the file name has an extension of pictures (.png, .JPG, ...).
bool has_image_extension(const std::filesystem::path& path);

}  // namespace combiner
