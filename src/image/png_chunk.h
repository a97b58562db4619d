// The parts of a PNG file in memory.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace combiner {

// The data of the first chunk of this name, or as much of it as there is; empty if there is none.
std::span<const uint8_t> png_chunk(std::span<const uint8_t> bytes, std::string_view name);

}  // namespace combiner
