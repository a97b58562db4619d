// Images to PNG files.
#pragma once

#include <filesystem>

#include "combiner/image.h"

namespace combiner {

// Writes a PNG, beside `path` first and then renamed, so that no partial file is left. Error if it
// can't be written or the image is too large; std::invalid_argument if its pixels don't fit its
// size.
void write_png(const std::filesystem::path& path, const Image& image);

}  // namespace combiner
