// Finds the images of a data set that are nearest to given pictures, to see whether a model that
// drew these copies what it was trained on.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "combiner/cancel.h"
#include "combiner/dataset.h"
#include "combiner/image.h"

namespace combiner {

struct Neighbour {
  int64_t index = 0;      // in the data set
  bool mirrored = false;  // whether it is nearer to the picture mirrored left-right
  // The root of the mean square difference, in levels of a sub-pixel (0 to 255). 0 means equal.
  double distance = 0;
};

// The nearest images to one picture, the nearest first; among equally near ones, the lowest index
// first.
struct Neighbours {
  std::vector<Neighbour> in_pixels;
  // The differences are those between the means of blocks of 4x4 pixels in each channel, which move
  // little when the picture does. Blocks at the right and lower edge may be smaller; a block counts
  // as much as it has pixels.
  std::vector<Neighbour> in_means;
};

struct NearestOptions {
  int count = 5;                                // images to find for each picture and distance
  std::optional<int64_t> limit = std::nullopt;  // search only the first `limit` images
  int threads = 1;
  // Asked before each image. The result covers those that were searched.
  Cancel cancel = {};
  // Called with why an image can't be read, by one thread at a time; the others are searched.
  // Without it, such an image is an Error.
  OnBadImage on_bad = {};
};

struct NearestImages {
  std::vector<Neighbours> of_pictures;  // one for each picture
  int64_t searched = 0;                 // images that were compared
};

// Compares each image with each picture, as it is and mirrored, and holds one image per thread at
// a time. The result does not depend on the number of threads. on_image, if there is one, is called
// after each image, by one thread at a time. Finds fewer than `count` images if fewer were
// searched. Throws Error if the data set has no images or if a picture is not as large as they are.
NearestImages find_nearest(std::span<const Image> pictures, const Dataset& images,
                           const NearestOptions& options,
                           const std::function<void(int64_t done, int64_t total)>& on_image = {});

}  // namespace combiner
