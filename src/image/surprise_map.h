// Draws how surprising each pixel of an image is to a model.
#pragma once

#include <span>

#include "combiner/image.h"

namespace combiner {

// Draws maps of images of one size. All share a scale, which is drawn once.
class SurpriseMap {
 public:
  SurpriseMap(int width, int height);

  // The image beside a map of its bits per pixel: the sums of -log2 p over a pixel's channels.
  // `bits` [height, width, 3] holds those of each sub-pixel. Both are magnified so that their
  // longer side has 256 pixels or more. Colours go from black for 0 bits to pale yellow for 24
  // bits, which is what a pixel takes uncompressed, or more; a scale beside the map shows them.
  // Below stand the image's bits/dim. Thread-safe.
  Image draw(const Image& image, std::span<const float> bits) const;

 private:
  int magnification_;
  Image scale_bar_;
};

}  // namespace combiner
