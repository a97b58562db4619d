// A data set of pictures, one per file.
#pragma once

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "combiner/dataset.h"

namespace combiner {

// The named pictures of a folder, in the given order, without those that can't be used: that
// read_image rejects, or whose size differs from the options' size while `resize` is off. Such a
// picture is told to options.on_bad. Throws Error if there is none to tell it to, if no picture is
// left, or if the options have no size. Pictures are decoded here to check them and again when they
// are read, which throws Error if one has gone bad since.
std::unique_ptr<Dataset> open_image_files(std::filesystem::path folder,
                                          std::vector<std::string> names,
                                          const DatasetOptions& options);

}  // namespace combiner
