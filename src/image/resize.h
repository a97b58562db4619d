// Crops and resamples an image to a model's size.
#pragma once

#include "combiner/image.h"

namespace combiner {

// A part of an image; `left` and `top` are pixels from its upper left corner.
struct Rectangle {
  int left = 0;
  int top = 0;
  int width = 0;
  int height = 0;

  bool operator==(const Rectangle&) const = default;
};

// The largest centred rectangle with the aspect ratio width : height.
Rectangle centred_part(const Image& image, int width, int height);

// Resamples a part of `image` to width x height. Averages over areas if neither side grows, and
// interpolates with cubics otherwise. The part must lie inside the image; sizes must be positive.
Image resample(const Image& image, const Rectangle& part, int width, int height);

// Resamples the largest centred part that has the wanted aspect ratio.
Image resize_to(const Image& image, int width, int height);

}  // namespace combiner
