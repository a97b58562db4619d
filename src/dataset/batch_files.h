// The files of a data set that is split into numbered parts.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace combiner {

// Lists the files <prefix><number><extension> in a folder, such as data_batch_1.bin, in the order
// of their numbers. Ignores other files. May return an empty list. Throws Error if the folder can't
// be read.
std::vector<std::filesystem::path> numbered_files(const std::filesystem::path& folder,
                                                  std::string_view prefix,
                                                  std::string_view extension);

// The names of the files that such a list lacks: those with numbers from 1 to that of its last file
// or, if that is more, to `expected`. At most kMostMissing of them.
inline constexpr size_t kMostMissing = 20;
std::vector<std::string> missing_files(const std::vector<std::filesystem::path>& files,
                                       std::string_view prefix, std::string_view extension,
                                       int expected);

}  // namespace combiner
