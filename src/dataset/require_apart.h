// Checks data sets that are to be trained on together.
#pragma once

#include <filesystem>
#include <span>

#include "combiner/dataset.h"

namespace combiner {

// Throws Error if one of the paths has images of another, which would be trained on where they are
// held out for validation: among what open_dataset() reads of the paths with these options and,
// if `validation`, what open_validation() reads.
void require_apart(std::span<const std::filesystem::path> paths, const DatasetOptions& options,
                   bool validation);

}  // namespace combiner
