// Finds the pictures in folders.
#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

namespace combiner {

// True if the file can be read and begins like a picture (is_picture), whatever its name.
bool is_picture_file(const std::filesystem::path& path);

struct PictureList {
  // Relative to the folder, sorted by bytes: "class/picture.jpg".
  std::vector<std::string> names;
  // The number of entries that were passed over, apart from hidden ones.
  int64_t ignored = 0;
  // Why, with the first names for each reason: "not pictures: a.txt, b.txt; empty: c.png".
  std::string reasons;
};

// The pictures in a folder and in all folders below it, told by their content. Links to files and
// folders are followed, but a folder is read only once, by its own name if it has one below
// `folder` and else by the first of the links to it; so links in a circle do no harm. Hidden files
// and folders are left out. Everything else that isn't a picture or can't be read is counted as
// ignored. Throws Error if `folder` itself can't be read.
PictureList list_pictures(const std::filesystem::path& folder);

// "a.txt, b.txt, c.txt and 4 more": the first of `all` names, of which there may be only those.
std::string first_names(const std::set<std::string>& names, int64_t all);

// "FOLDER: 20 images, 3 ignored (reasons)".
std::string summary(const std::filesystem::path& folder, const PictureList& list);

}  // namespace combiner
