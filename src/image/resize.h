// Cutting and resampling an image to a model's size.
#pragma once

#include "combiner/image.h"

namespace combiner {

// A part of an image, in pixels from its upper left corner.
struct Rectangle {
  int left = 0;
  int top = 0;
  int width = 0;
  int height = 0;

  bool operator==(const Rectangle&) const = default;
};

// The largest centred rectangle of the proportions width : height (a square for a square).
Rectangle centred_part(const Image& image, int width, int height);

// Resamples a part of `image`, which must lie inside, to width x height: by the mean over areas
// where that shrinks it, by cubic interpolation where it has to grow. Sizes must be positive.
Image resample(const Image& image, const Rectangle& part, int width, int height);

// Resamples the centred part of the wanted proportions.
Image resize_to(const Image& image, int width, int height);

}  // namespace combiner
