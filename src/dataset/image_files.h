// A data set of pictures, one per file.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "combiner/dataset.h"

namespace combiner {

// The named pictures of a folder, in the given order. Each is decoded when it is read: `read`
// throws Error if read_image rejects the picture, or if its size differs from the options' size and
// `resize` is off.
std::unique_ptr<Dataset> open_image_files(std::filesystem::path folder,
                                          std::vector<std::string> names,
                                          const DatasetOptions& options);

}  // namespace combiner
