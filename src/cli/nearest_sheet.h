// Draws pictures beside the images that are nearest to them.
#pragma once

#include <span>
#include <string>

#include "combiner/dataset.h"
#include "combiner/image.h"
#include "neighbours/nearest.h"

namespace combiner {

// A sheet with a row for each picture: the picture and its name, the images nearest in pixels, and
// those nearest in means, each with its index and distance. Images that are nearer mirrored are
// shown mirrored. Each pixel is magnified to scale x scale. `nearest` is find_nearest's result for
// these pictures and images; at least one image was searched. Throws Error if an image can't be
// read or the sheet is too large.
Image nearest_sheet(std::span<const Image> pictures, std::span<const std::string> names,
                    const NearestImages& nearest, const Dataset& images, int scale);

}  // namespace combiner
