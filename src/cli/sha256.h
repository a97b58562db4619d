// The SHA-256 checksum of a file.
#pragma once

#include <filesystem>
#include <string>

namespace combiner {

// The checksum in lower-case hexadecimal, as sha256sum prints it. Throws Error if the file can't be
// read.
std::string sha256_of_file(const std::filesystem::path& path);

}  // namespace combiner
