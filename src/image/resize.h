// Resampling an image to a model's size.
#pragma once

#include "image/image.h"

namespace combiner {

// Cuts the largest centred rectangle of the wanted proportions (a square for a square) out of
// `image` and resamples it to width x height: by the mean over areas where that shrinks it, by
// cubic interpolation where it has to grow. Sizes must be positive.
Image resize_to(const Image& image, int width, int height);

}  // namespace combiner
