#include "codec/crc32c.h"

#include <numeric>
#include <string_view>
#include <vector>

#include "catch.h"

namespace combiner {
namespace {

TEST_CASE("CRC-32C: the check value, and the examples of RFC 3720") {
  const std::string_view digits = "123456789";
  CHECK(crc32c({reinterpret_cast<const uint8_t*>(digits.data()), digits.size()}) == 0xE3069283);
  CHECK(crc32c({}) == 0);
  std::vector<uint8_t> bytes(32, 0);
  CHECK(crc32c(bytes) == 0x8A9136AA);
  bytes.assign(32, 0xFF);
  CHECK(crc32c(bytes) == 0x62A8AB43);
  std::iota(bytes.begin(), bytes.end(), uint8_t{0});
  CHECK(crc32c(bytes) == 0x46DD794E);
}

}  // namespace
}  // namespace combiner
