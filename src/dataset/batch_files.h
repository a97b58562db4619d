// The files of a data set that comes in numbered parts.
#pragma once

#include <filesystem>
#include <string_view>
#include <vector>

namespace combiner {

// The files <prefix><number><extension> of a folder, say data_batch_1.bin and on, in the order of
// their numbers; others don't count. May be empty. Error if the folder can't be read.
std::vector<std::filesystem::path> numbered_files(const std::filesystem::path& folder,
                                                  std::string_view prefix,
                                                  std::string_view extension);

}  // namespace combiner
