#include "codec/crc32c.h"

#include <array>

namespace combiner {
namespace {

constexpr uint32_t kPolynomial = 0x82F63B78;  // its bits in reverse

constexpr std::array<uint32_t, 256> kTable = [] {
  std::array<uint32_t, 256> table = {};
  for (uint32_t byte = 0; byte < table.size(); ++byte) {
    uint32_t sum = byte;
    for (int bit = 0; bit < 8; ++bit) sum = sum >> 1 ^ (sum & 1 ? kPolynomial : 0);
    table[byte] = sum;
  }
  return table;
}();

}  // namespace

uint32_t crc32c(std::span<const uint8_t> bytes) {
  uint32_t sum = ~uint32_t{0};
  for (const uint8_t byte : bytes) sum = sum >> 8 ^ kTable[(sum ^ byte) & 0xFF];
  return ~sum;
}

}  // namespace combiner
