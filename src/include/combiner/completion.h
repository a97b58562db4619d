// Completes images whose upper rows are known.
#pragma once

#include <cstdint>
#include <span>

#include "combiner/image.h"
#include "combiner/model.h"
#include "combiner/sampler.h"

namespace combiner {

// Which image of a seed lends its random numbers to a variation of images[i]. They differ from
// image to image, because with the same numbers the same shapes would appear in all. For that,
// variations of several images must be below 2^32.
constexpr int64_t variation_stream(int64_t i, int64_t variation) { return (i << 32) + variation; }

// Keeps the first `rows` rows of each image, which must have the model's size, and draws the rows
// below: options.count variations of each image. In events, variation v of images[i] has the index
// i * options.count + v. It is drawn with the random numbers of image
// variation_stream(i, options.first_index + v) of the seed, so it depends on the image's place on
// the list and on nothing else there, and without known rows it is that image. The rows of an image
// are decoded once, not for each variation. row_done is called for drawn rows only. Returns true
// once all are done, false if asked to end. Throws Error if an option is out of range, an image has
// another size, `rows` is not 0 to the height - 1 (there is always something to draw), or there are
// several images and options.first_index + options.count is above 2^32. The first variation of a
// single image may have any index, so that variation_stream() of a list's image draws it again.
bool complete(const Model& model, std::span<const Image> images, int rows,
              const SampleOptions& options, const SampleEvents& events);

}  // namespace combiner
