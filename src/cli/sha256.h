// The SHA-256 sum of a file.
#pragma once

#include <filesystem>
#include <string>

namespace combiner {

// In lower-case hexadecimal, as sha256sum prints it. Error if the file can't be read.
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace combiner
