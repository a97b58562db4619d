#include "image/tiles.h"

#include <algorithm>
#include <cstddef>

#include "base/round_up.h"

namespace combiner {
namespace {

struct Corner {
  int left = 0;
  int top = 0;
};

Corner corner_of(int64_t index, int picture_width, TileSize tile) {
  const int64_t columns = ceil_div(picture_width, tile.width);
  return {static_cast<int>(index % columns) * tile.width,
          static_cast<int>(index / columns) * tile.height};
}

std::ptrdiff_t offset_of(const Image& image, int column, int row) {
  return 3 * (static_cast<std::ptrdiff_t>(row) * image.width + column);
}

}  // namespace

int64_t tiles_of(int width, int height, TileSize tile) {
  return int64_t{ceil_div(width, tile.width)} * ceil_div(height, tile.height);
}

Image cut_tile(const Image& picture, TileSize tile, int64_t index) {
  const auto [left, top] = corner_of(index, picture.width, tile);
  Image result{tile.width, tile.height, {}};
  result.pixels.reserve(size_t{3} * tile.width * tile.height);
  for (int row = 0; row < tile.height; ++row)
    for (int column = 0; column < tile.width; ++column) {
      const auto pixel =
          picture.pixels.begin() + offset_of(picture, std::min(left + column, picture.width - 1),
                                             std::min(top + row, picture.height - 1));
      result.pixels.insert(result.pixels.end(), pixel, pixel + 3);
    }
  return result;
}

void place_tile(const Image& tile, int64_t index, Image& picture) {
  const auto [left, top] = corner_of(index, picture.width, {tile.width, tile.height});
  const int width = std::min(tile.width, picture.width - left);
  const int height = std::min(tile.height, picture.height - top);
  for (int row = 0; row < height; ++row)
    std::copy_n(tile.pixels.begin() + offset_of(tile, 0, row), 3 * width,
                picture.pixels.begin() + offset_of(picture, left, top + row));
}

}  // namespace combiner
