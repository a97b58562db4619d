// How far a model's predictions are from a reference's: the gate that smaller weights must pass.
#pragma once

#include <cstdint>
#include <optional>

#include "dataset/dataset.h"
#include "engine/model.h"
#include "likelihood/each_image.h"

namespace combiner {

// Means over the images and all their sub-pixels; NaN of no images.
struct Divergence {
  int64_t images = 0;
  double reference_bits_per_dim = 0;
  double bits_per_dim = 0;
  double kl_divergence = 0;  // KL(reference || model) of a sub-pixel's 256 values, in nats
};

struct DivergenceOptions {
  std::optional<int64_t> limit = std::nullopt;  // only the first images, this many
  int threads = 1;                              // each has its own images
};

// Lets both models predict each sub-pixel given the same ones before it. The
// figures are the same bits whatever the number of threads; on_image is told the mean divergence.
// If it stops the work, the result is that of the images done. Error if the images aren't of the
// models' size, one can't be read, or its figures aren't finite numbers.
Divergence measure_divergence(const Model& reference, const Model& model, const Dataset& images,
                              const DivergenceOptions& options, const OnImage& on_image);

}  // namespace combiner
