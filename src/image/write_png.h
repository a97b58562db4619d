// Writes images to PNG files.
#pragma once

#include <filesystem>
#include <span>

#include "combiner/image.h"
#include "image/png.h"

namespace combiner {

// Writes a PNG under a temporary name in the same folder and then renames it to `path`, so no
// partial file is left behind. Throws Error if it can't be written, and whatever encode_png throws.
void write_png(const std::filesystem::path& path, const Image& image,
               std::span<const PngText> texts = {});

}  // namespace combiner
