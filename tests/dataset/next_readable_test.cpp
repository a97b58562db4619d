#include "dataset/next_readable.h"

#include <fmt/format.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "catch.h"
#include "combiner/error.h"
#include "error_of.h"

namespace combiner {
namespace {

// Images of one pixel, whose red is the image's number. Some can't be read.
class Numbers : public Dataset {
 public:
  explicit Numbers(int64_t size) : size_(size) {}
  int64_t size() const override { return size_; }
  int width() const override { return 1; }
  int height() const override { return 1; }
  void read(int64_t index, std::span<uint8_t> pixels) const override {
    if (bad.contains(index)) throw Error(fmt::format("{}: is damaged", index));
    pixels[0] = static_cast<uint8_t>(index);
  }
  std::string describe(int64_t index) const override { return fmt::format("{}", index); }

  std::set<int64_t> bad;

 private:
  int64_t size_;
};

TEST_CASE("The next image that can be read stands in for one that can't, which is told once") {
  const auto numbers = std::make_shared<Numbers>(5);
  std::vector<std::string> told;
  const NextReadable images(numbers, [&](const std::string& why) { told.push_back(why); });
  const auto read = [&](int64_t index) {
    std::vector<uint8_t> pixels(3);
    images.read(index, pixels);
    return static_cast<int64_t>(pixels[0]);
  };
  CHECK(images.size() == 5);
  CHECK(images.describe(3) == "3");
  for (int64_t i = 0; i < 5; ++i) CHECK(read(i) == i);
  CHECK(told.empty());

  numbers->bad = {1, 2, 4};  // they have become so
  for (int round = 0; round < 2; ++round) {
    CHECK(read(1) == 3);
    CHECK(read(4) == 0);
    CHECK(read(3) == 3);
  }
  CHECK(told == std::vector<std::string>{"1: is damaged", "2: is damaged", "4: is damaged"});
  numbers->bad.erase(1);
  CHECK(read(1) == 1);
  numbers->bad = {0, 1, 2, 3, 4};
  CHECK_THAT(error_of([&] { read(2); }), contains("no image of the data set can be read"));
}

}  // namespace
}  // namespace combiner
