// Reads a whole file into memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <vector>

namespace combiner {

// The bytes of a regular file. Throws Error if it does not exist, is not a regular file, is empty,
// is larger than `max_bytes` or cannot be read.
std::vector<uint8_t> read_file(const std::filesystem::path& path, uint64_t max_bytes);

// The first bytes of a file, up to 4,096, from which file_kind tells what it is. None if they can't
// be read.
std::vector<std::byte> read_start(const std::filesystem::path& path);

}  // namespace combiner
