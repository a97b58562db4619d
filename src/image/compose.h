// Puts pictures together on white.
#pragma once

#include <cstdint>
#include <span>

#include "combiner/image.h"

namespace combiner {

// A white image. Throws Error if it would be larger than kMaxImageBytes.
Image white_image(int64_t width, int64_t height);

// Copies `image` to `canvas`, with its upper left corner at (left, top) and each pixel magnified to
// scale x scale. It must fit.
void paint(const Image& image, int64_t left, int64_t top, int scale, Image& canvas);

// Magnifies each pixel to scale x scale.
Image magnified(const Image& image, int scale);
// The smallest scale at which the image's longer side has `side` pixels or more.
int scale_to(int side, int width, int height);

// From left to right with `gap` pixels between them, centred vertically.
Image beside(std::span<const Image> images, int gap);
// From top to bottom with `gap` pixels between them, centred horizontally.
Image stacked(std::span<const Image> images, int gap);

// Adds `margin` pixels on each side.
Image with_margin(const Image& image, int margin);

}  // namespace combiner
