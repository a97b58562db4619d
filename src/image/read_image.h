// Reads images from files.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "combiner/image.h"

namespace combiner {

// Reads a picture in any format that OpenCV reads; if the file holds several pictures, the first.
// Grey and palette images become RGB, an opaque alpha channel is dropped, and a photograph is
// rotated as its orientation tag says. Nothing that would change a pixel's value is done:
// read_image throws Error if a pixel is not opaque or samples are floating-point or have more than
// 8 bits (even if all values would fit, because whoever made the file meant 16 bits). It also
// throws Error if the file is missing, empty, not an image, damaged, truncated or too large.
// Messages name the file. Thread-safe; prints nothing.
Image read_image(const std::filesystem::path& path);

// True if the file name has an extension that OpenCV reads (.png, .JPG, ...).
bool has_image_extension(const std::filesystem::path& path);

// The sorted names of the pictures directly in a folder, recognised by their extension. Ignores
// hidden files. May return an empty list. Throws Error if the folder can't be read.
std::vector<std::string> list_images(const std::filesystem::path& folder);

// The same for a folder and all folders below it. Names are relative to it: "class/picture.jpg".
// Ignores hidden folders and does not follow links to folders.
std::vector<std::string> list_images_below(const std::filesystem::path& folder);

}  // namespace combiner
