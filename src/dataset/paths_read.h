// Which files and folders the images of a data set come from.
#pragma once

#include <filesystem>
#include <vector>

#include "combiner/dataset.h"

namespace combiner {

// What open_dataset() and open_validation() read of a path: of a folder that is divided, its
// subfolders for training and for validation, else the path itself.
std::vector<std::filesystem::path> paths_read(const std::filesystem::path& path,
                                              const DatasetOptions& options);

}  // namespace combiner
