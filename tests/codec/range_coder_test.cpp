#include "codec/range_coder.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "catch.h"
#include "random.h"

namespace combiner {
namespace {

// Values of a random distribution, as their ranges.
struct Message {
  std::vector<FrequencyRange> ranges;
  double bits = 0;  // that they hold
};

Message some_message(Random& random, size_t size) {
  // Cuts the total into parts that differ by orders of magnitude.
  std::vector<FrequencyRange> parts;
  uint32_t begin = 0;
  while (begin < kFrequencyTotal) {
    const uint32_t most = std::min(kFrequencyTotal - begin, uint32_t{2} << random.below(24));
    parts.push_back({begin, 1 + static_cast<uint32_t>(random.below(most))});
    begin += parts.back().size;
    if (parts.size() == 255) parts.push_back({begin, kFrequencyTotal - begin});
    if (parts.size() == 256) break;
  }
  if (parts.back().size == 0) parts.pop_back();
  Message message;
  for (size_t i = 0; i < size; ++i) {
    const auto target = static_cast<uint32_t>(random.below(kFrequencyTotal));
    size_t part = 0;
    while (target - parts[part].begin >= parts[part].size) ++part;
    message.ranges.push_back(parts[part]);
    message.bits -= std::log2(parts[part].size / double{kFrequencyTotal});
  }
  return message;
}

bool decodes_to(const std::vector<uint8_t>& stream, const std::vector<FrequencyRange>& ranges) {
  RangeDecoder decoder(stream);
  for (const FrequencyRange& range : ranges) {
    const uint64_t target = decoder.target();
    if (target < range.begin || target >= uint64_t{range.begin} + range.size) return false;
    decoder.take(range);
  }
  return decoder.at_end();
}

TEST_CASE("Range coder: what was encoded is decoded, in as few bytes as it holds") {
  Random random(3);
  double bits = 0, paid = 0;
  RangeEncoder encoder;
  for (int i = 0; i < 100; ++i) {
    const Message message = some_message(random, random.below(3000));
    for (const FrequencyRange& range : message.ranges) encoder.encode(range);
    const std::vector<uint8_t> stream = encoder.finish();
    REQUIRE(decodes_to(stream, message.ranges));
    CHECK(8.0 * static_cast<double>(stream.size()) < (1 + 1e-4) * message.bits + 16);
    bits += message.bits;
    paid += 8.0 * static_cast<double>(stream.size());
  }
  CHECK(paid < (1 + 1e-4) * bits + 100 * 9);
}

TEST_CASE("Range coder: the extremes") {
  const FrequencyRange all = {0, kFrequencyTotal}, first = {0, 1}, last = {kFrequencyTotal - 1, 1};
  for (const FrequencyRange& range : {all, first, last})
    for (const size_t count : {0, 1, 2, 3, 7, 1000}) {
      const std::vector<FrequencyRange> ranges(count, range);
      RangeEncoder encoder;
      for (const FrequencyRange& one : ranges) encoder.encode(one);
      const std::vector<uint8_t> stream = encoder.finish();
      CHECK(decodes_to(stream, ranges));
      if (range.size == kFrequencyTotal || range.begin == 0) CHECK(stream.empty());
    }
}

TEST_CASE("Range coder: a carry runs through many bytes") {
  // Values just below a half, again and again, make bytes of 0x7F 0xFF ...; a last one carries.
  Random random(4);
  for (int i = 0; i < 200; ++i) {
    std::vector<FrequencyRange> ranges = {{(kFrequencyTotal >> 1) - 1, 2}};
    for (size_t j = random.below(40); j > 0; --j)
      ranges.push_back({kFrequencyTotal / 2 - 1 + static_cast<uint32_t>(random.below(2)), 1});
    RangeEncoder encoder;
    for (const FrequencyRange& range : ranges) encoder.encode(range);
    REQUIRE(decodes_to(encoder.finish(), ranges));
  }
}

TEST_CASE("Range coder: a stream that is cut, continued or read as something else has no end") {
  Random random(5);
  const Message message = some_message(random, 500);
  RangeEncoder encoder;
  for (const FrequencyRange& range : message.ranges) encoder.encode(range);
  const std::vector<uint8_t> stream = encoder.finish();
  for (size_t size = 0; size < stream.size(); ++size)
    REQUIRE_FALSE(decodes_to({stream.begin(), stream.begin() + static_cast<std::ptrdiff_t>(size)},
                             message.ranges));
  std::vector<uint8_t> longer = stream;
  longer.push_back(0);
  CHECK_FALSE(decodes_to(longer, message.ranges));
  longer.back() = 1;
  CHECK_FALSE(decodes_to(longer, message.ranges));
  std::vector<FrequencyRange> fewer = message.ranges;
  for (int i = 0; i < 20; ++i) fewer.pop_back();
  CHECK_FALSE(decodes_to(stream, fewer));
}

}  // namespace
}  // namespace combiner
