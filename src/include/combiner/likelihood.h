// How well a model predicts images: bits/dim, the mean of -log2 p(sub-pixel | all before).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "combiner/dataset.h"
#include "combiner/model.h"

namespace combiner {

// Called after each image, from one thread at a time: images done, images in all, the mean so far
// of the figure that is measured. Returns whether to go on.
using OnImage = std::function<bool(int64_t done, int64_t total, double mean)>;

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

// ---- How far a model's predictions are from a reference's: the gate that smaller weights must
// pass.

// Means over the images and all their sub-pixels; NaN of no images.
struct Divergence {
  int64_t images = 0;
  double reference_bits_per_dim = 0;
  double bits_per_dim = 0;
  double kl_divergence = 0;  // KL(reference || model) of a sub-pixel's 256 values, in nats
};

// Lets both models predict each sub-pixel given the same ones before it. The
// figures are the same bits whatever the number of threads; on_image is told the mean divergence.
// If it stops the work, the result is that of the images done. Error if the images aren't of the
// models' size, one can't be read, or its figures aren't finite numbers.
Divergence measure_divergence(const Model& reference, const Model& model, const Dataset& images,
                              const LikelihoodOptions& options, const OnImage& on_image);

}  // namespace combiner
