// What is named in place of a data set.
#pragma once

#include <filesystem>

#include "combiner/error.h"

namespace combiner {

// What to say of a file or folder that is no data set: what it is, going by its contents, and what
// to give instead.
Error no_data_set(const std::filesystem::path& path);

}  // namespace combiner
