#include "image/tiles.h"

#include "catch.h"
#include "random.h"

namespace combiner {
namespace {

TEST_CASE("Tiles: pictures of any size are put together again") {
  Random random(1);
  for (int width = 1; width <= 9; ++width)
    for (int height = 1; height <= 7; ++height) {
      const Image picture{width, height, random.bytes(static_cast<size_t>(3 * width * height))};
      Image together{width, height, std::vector<uint8_t>(picture.pixels.size())};
      const TileSize size{4, 3};
      for (int64_t i = 0; i < tiles_of(width, height, size); ++i) {
        const Image tile = cut_tile(picture, size, i);
        CHECK((tile.width == 4 && tile.height == 3 && tile.pixels.size() == 36));
        place_tile(tile, i, together);
      }
      CHECK(together == picture);
    }
  CHECK(tiles_of(4, 3, {4, 3}) == 1);
  CHECK(tiles_of(5, 3, {4, 3}) == 2);
  CHECK(tiles_of(8, 7, {4, 3}) == 6);
}

TEST_CASE("Tiles: beyond the picture, its last column and row are repeated") {
  const Image picture{3, 1, {1, 1, 1, 2, 2, 2, 3, 3, 3}};
  CHECK(cut_tile(picture, {2, 2}, 1) == Image{2, 2, std::vector<uint8_t>(12, 3)});
  CHECK(cut_tile(picture, {2, 2}, 0) == Image{2, 2, {1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2}});
}

}  // namespace
}  // namespace combiner
