// Images from files.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "combiner/image.h"

namespace combiner {

// Reads a picture of any format that OpenCV reads; of several pictures in a file the first. Grey
// and palette images become RGB, an opaque alpha channel is dropped, a photograph is turned upright
// as its orientation tag says. Nothing that would change a pixel's value is done: an Error that
// names the file is thrown if a pixel isn't opaque, if samples have more than 8 bits (even where
// they would fit: whoever made the file meant 16 bits) or are floating-point, and if the file is
// missing, empty, not an image, damaged, truncated or too large. Thread-safe; prints nothing.
Image read_image(const std::filesystem::path& path);

// True if the name ends as the names of pictures that OpenCV reads do (.png, .JPG, ...).
bool has_image_extension(const std::filesystem::path& path);

// The names of the pictures directly in a folder, told by their extension and sorted; hidden files
// don't count. May be empty. Error if the folder can't be read.
std::vector<std::string> list_images(const std::filesystem::path& folder);

// The same of a folder and all folders below it, as names relative to it: "class/picture.jpg".
// Hidden folders and links to folders don't count.
std::vector<std::string> list_images_below(const std::filesystem::path& folder);

}  // namespace combiner
