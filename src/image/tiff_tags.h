// The tags of a TIFF file, or of EXIF data, which has the same form.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace combiner {

// The first value of a tag in the first directory (TIFF 6.0, section 2; BigTIFF), if it is there
// and a whole number of 16, 32 or 64 bits; 0 if the bytes end before the value. Nothing if they are
// no TIFF.
std::optional<uint64_t> tiff_tag(std::span<const uint8_t> bytes, uint16_t tag);

}  // namespace combiner
