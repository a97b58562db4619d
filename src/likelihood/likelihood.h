// How well a model predicts images: bits/dim, the mean of -log2 p(sub-pixel | all before).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "dataset/dataset.h"
#include "engine/model.h"
#include "likelihood/each_image.h"

namespace combiner {

struct ImageLikelihood {
  int64_t index = 0;             // in the data set
  std::array<double, 3> nats{};  // -log p of the red, green and blue sub-pixels
  double bits_per_dim = 0;       // of all three
};

struct Likelihood {
  std::vector<ImageLikelihood> images;  // by index
  double bits_per_dim = 0;              // mean over the images
  double standard_error = 0;            // of that mean, over the images; NaN for a single one
  std::array<double, 3> channel_bits_per_dim{};
  double images_per_second = 0;
};

struct LikelihoodOptions {
  std::optional<int64_t> limit = std::nullopt;  // only the first images, this many
  int threads = 1;                              // each has its own images
};

// Evaluates the images one by one. The figures are the same bits whatever the number of threads;
// on_image is told the mean bits/dim. If it stops the work, the result is that of the images done,
// which may be none (then every figure is NaN). Error if the images aren't the model's size, one
// can't be read, or its likelihood isn't a finite number.
Likelihood evaluate(const Model& model, const Dataset& images, const LikelihoodOptions& options,
                    const OnImage& on_image);

}  // namespace combiner
