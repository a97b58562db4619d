// Writes images to PNG files.
#pragma once

#include <filesystem>

#include "combiner/image.h"

namespace combiner {

// Writes a PNG under a temporary name in the same folder and then renames it to `path`, so no
// partial file is left behind. Throws Error if it can't be written or the image is too large, and
// std::invalid_argument if the number of pixels does not match the image's size.
void write_png(const std::filesystem::path& path, const Image& image);

}  // namespace combiner
