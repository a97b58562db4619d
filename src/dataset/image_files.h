// A data set of pictures, a file each.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "combiner/dataset.h"

namespace combiner {

// The pictures of these names in a folder, in this order. They are read when asked for: `read`
// throws an Error for a picture that read_image refuses, or of another size than the options'
// without `resize`.
std::unique_ptr<Dataset> open_image_files(std::filesystem::path folder,
                                          std::vector<std::string> names,
                                          const DatasetOptions& options);

}  // namespace combiner
