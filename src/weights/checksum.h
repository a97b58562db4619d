// The checksum that a safetensors file carries in its own metadata:
//   "combiner_checksum": "crc32:1a2b3c4d"
// The digits are the CRC-32 of the whole file with zeros in their place, so no byte can change
// unnoticed. Files of other programs have no checksum.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <string_view>

#include "combiner/cancel.h"

namespace combiner {

using Metadata = std::map<std::string, std::string>;

// The digits of these bytes' CRC-32. Throws Cancelled soon after it is asked to end.
std::string checksum(std::span<const std::span<const std::byte>> parts, const Cancel& cancel = {});

// Adds a checksum of zeros, for fill_in_checksum.
void add_checksum(Metadata& metadata);

// Puts the checksum of a file in place of the zeros. `header` is the text that has the metadata, as
// JSON without spaces; `parts` make up the file, and one of them views the header.
void fill_in_checksum(std::string& header, std::span<const std::span<const std::byte>> parts);

// Takes the checksum out of the metadata. Throws Error, with a message that starts with `source`,
// if it is not that of the file. Does nothing if there is none. The header are the file's first
// `header_end` bytes. Throws Cancelled soon after it is asked to end.
void check_checksum(std::span<const std::byte> file, size_t header_end, Metadata& metadata,
                    std::string_view source, const Cancel& cancel = {});

}  // namespace combiner
