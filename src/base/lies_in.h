// Whether one path is within another.
#pragma once

#include <filesystem>

namespace combiner {

// Whether `path`, which need not exist, is `folder` or lies in it, at any depth. Follows links.
// `folder` may also be a file; then only the file itself lies in it.
bool lies_in(const std::filesystem::path& path, const std::filesystem::path& folder);

}  // namespace combiner
