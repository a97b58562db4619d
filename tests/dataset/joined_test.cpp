#include "dataset/joined.h"

#include <memory>
#include <vector>

#include "catch.h"
#include "memory_dataset.h"

namespace combiner {
namespace {

TEST_CASE("Joined data sets have the images of each, one after another") {
  // Images of one pixel. A part may be empty.
  const auto part = [](std::vector<uint8_t> values) {
    std::vector<uint8_t> pixels;
    for (const uint8_t value : values) pixels.insert(pixels.end(), 3, value);
    return std::make_shared<const MemoryDataset>(1, 1, pixels);
  };
  const Joined all({part({7, 8}), part({}), part({9}), part({4, 5, 6})});
  CHECK(all.width() == 1);
  CHECK(all.height() == 1);
  const std::vector<uint8_t> expected = {7, 8, 9, 4, 5, 6};
  REQUIRE(all.size() == std::ssize(expected));
  for (size_t i = 0; i < expected.size(); ++i) {
    std::vector<uint8_t> pixels(3);
    all.read(static_cast<int64_t>(i), pixels);
    CHECK(pixels == std::vector<uint8_t>(3, expected[i]));
  }
  CHECK(all.describe(1) == "picture 1");
  CHECK(all.describe(2) == "picture 0");
  CHECK(all.describe(5) == "picture 2");
}

}  // namespace
}  // namespace combiner
