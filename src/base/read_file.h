// A whole file in memory.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

namespace combiner {

// The bytes of a regular file. Error if it doesn't exist, isn't a regular file, is empty, is larger
// than `max_bytes` or can't be read.
std::vector<uint8_t> read_file(const std::filesystem::path& path, uint64_t max_bytes);

}  // namespace combiner
