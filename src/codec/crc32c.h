// The checksum CRC-32C (Castagnoli; RFC 3720, appendix B.4).
#pragma once

#include <cstdint>
#include <span>

namespace combiner {

uint32_t crc32c(std::span<const uint8_t> bytes);

}  // namespace combiner
