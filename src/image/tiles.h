// Cuts pictures in tiles of one size and puts them together again.
#pragma once

#include <cstdint>

#include "combiner/image.h"

namespace combiner {

struct TileSize {
  int width = 0;
  int height = 0;
};

// How many tiles cover a picture of this size. They are numbered row by row.
int64_t tiles_of(int width, int height, TileSize tile);

// Tile `index` of the picture. What lies beyond the picture repeats its last column and row.
Image cut_tile(const Image& picture, TileSize tile, int64_t index);

// Copies a tile to its place in the picture, which must have its size already; what lies beyond the
// picture is left out.
void place_tile(const Image& tile, int64_t index, Image& picture);

}  // namespace combiner
