// Finds damage in JPEG files.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace combiner {

// Throws Error, with a message that starts with `where`, if the file has no end marker or if its
// compressed data is damaged as far as libjpeg notices, which then makes up the rest of the picture
// and only warns. Oddities that do not change a pixel pass.
void check_jpeg(std::span<const uint8_t> bytes, std::string_view where);

}  // namespace combiner
