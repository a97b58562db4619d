// The files of a data set that is split into numbered parts.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

namespace combiner {

// Lists the files <prefix><number><extension> in a folder, such as data_batch_1.bin, in the order
// of their numbers. Ignores other files. May return an empty list. Throws Error if the folder can't
// be read.
std::vector<std::filesystem::path> numbered_files(const std::filesystem::path& folder,
                                                  std::string_view prefix,
                                                  std::string_view extension);

}  // namespace combiner
