#include "dataset/slice.h"

#include <limits>

#include "catch.h"
#include "error_of.h"

namespace combiner {
namespace {

// Ten images of one pixel each; image i is (i, i, i).
class Ten : public Dataset {
 public:
  int64_t size() const override { return 10; }
  int width() const override { return 1; }
  int height() const override { return 1; }
  void read(int64_t index, std::span<uint8_t> pixels) const override {
    for (uint8_t& byte : pixels) byte = static_cast<uint8_t>(index);
  }
  std::string describe(int64_t index) const override { return "image " + std::to_string(index); }
};

TEST_CASE("A slice is a range of another data set's images") {
  const Slice last(std::make_shared<Ten>(), 7, 3);
  CHECK(last.size() == 3);
  CHECK(last.width() == 1);
  CHECK(last.height() == 1);
  uint8_t pixels[3];
  last.read(2, pixels);
  CHECK(pixels[0] == 9);
  CHECK(last.describe(0) == "image 7");
  CHECK(Slice(std::make_shared<Ten>(), 10, 0).size() == 0);
}

TEST_CASE("A slice outside its data set is an Error") {
  const auto error = [](int64_t first, int64_t count) {
    return error_of([&] { Slice(std::make_shared<Ten>(), first, count); });
  };
  CHECK_THAT(error(8, 3), contains("has 10 images; expected 3 from image 8 on"));
  CHECK_THAT(error(0, 11), contains("expected 11 from image 0 on"));
  CHECK_THAT(error(-1, 1), contains("expected 1 from image -1 on"));
  CHECK_THAT(error(1, -1), contains("expected -1 from image 1 on"));
  CHECK_THAT(error(1, std::numeric_limits<int64_t>::max()), contains("has 10 images"));
}

}  // namespace
}  // namespace combiner
