#include "bench/random_images.h"

#include <set>
#include <vector>

#include "catch.h"
#include "model/random_model.h"

namespace combiner {
namespace {

TEST_CASE("random images have the model's size, are noise and are the same each time") {
  const ModelConfig config = small_config(Tokens::pixel, Attention::full, 20, 30);
  const RandomImages images(config, 1000);
  CHECK(images.size() == 1000);
  CHECK(images.width() == 30);
  CHECK(images.height() == 20);
  std::vector<uint8_t> first(20 * 30 * 3), second = first, again = first;
  images.read(0, first);
  images.read(1, second);
  images.read(0, again);
  CHECK(first == again);
  CHECK(first != second);
  CHECK(std::set<uint8_t>(first.begin(), first.end()).size() > 250);
  images.read(999, again);  // beyond the images kept in memory
  CHECK(std::set<uint8_t>(again.begin(), again.end()).size() > 250);
  CHECK_FALSE(images.describe(999).empty());
}

}  // namespace
}  // namespace combiner
