// How well a model predicts images, in bits/dim: the mean over an image's sub-pixels of
// -log2 p(sub-pixel | all sub-pixels before it).
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "combiner/cancel.h"
#include "combiner/dataset.h"
#include "combiner/model.h"

namespace combiner {

class Cluster;

// Called after each image, by one thread at a time, with the number of images done, the total (but
// for images that were found not to be readable), and the mean so far of the measured quantity.
using OnImage = std::function<void(int64_t done, int64_t total, double mean)>;

// Receives an image's index in the data set, its pixels [height, width, 3] and the nats, -log p, of
// each of its sub-pixels [height, width, 3], when the image has been evaluated. The spans are valid
// during the call only. Called by several threads at once.
using OnNats = std::function<void(int64_t index, std::span<const uint8_t> pixels,
                                  std::span<const float> nats)>;

struct ImageLikelihood {
  int64_t index = 0;             // in the data set
  std::array<double, 3> nats{};  // sums of -log p over the red, green and blue sub-pixels
  double bits_per_dim = 0;       // over all three channels
};

struct Likelihood {
  std::vector<ImageLikelihood> images;  // in order of index
  double bits_per_dim = 0;              // mean over the images
  double standard_error = 0;            // of bits_per_dim, over the images; NaN for a single image
  std::array<double, 3> channel_bits_per_dim{};
  double images_per_second = 0;
};

struct LikelihoodOptions {
  std::optional<int64_t> limit = std::nullopt;  // evaluate only the first `limit` images, 0 or more
  int threads = 1;                              // at least 1; each evaluates whole images
  // Asked often. Images that are not done when it says so are dropped; the result covers the
  // others.
  Cancel cancel = {};
  // Called with why an image can't be read; the figures are those of the others. Without it, such
  // an image is an Error.
  OnBadImage on_bad = {};
  // The program's: all its ranks call the function, and divide the images among them. Rank 0 gets
  // the result and calls on_image and on_bad; the others get the result of no image.
  Cluster* cluster = nullptr;
};

// Evaluates the images. The results are bit-identical for any number of threads. on_image, if there
// is one, receives the mean bits/dim. on_nats, if there is one, receives exactly the images of the
// result, each before on_image counts it. What it throws ends the evaluation. If options.cancel
// leaves no image, the result's means are NaN. Throws Error if an option is out of range, if the
// images are not the model's size or if one cannot be read, and NotFinite if its likelihood is not
// finite.
Likelihood evaluate(const Model& model, const Dataset& images,
                    const LikelihoodOptions& options = {}, const OnImage& on_image = {},
                    const OnNats& on_nats = {});

// ---- Comparing a model with a reference, to decide whether smaller weights are acceptable.

// Means over all sub-pixels of all images; NaN if there are no images.
struct Divergence {
  int64_t images = 0;
  double reference_bits_per_dim = 0;
  double bits_per_dim = 0;
  double kl_divergence = 0;  // KL(reference || model) per sub-pixel, in nats
};

// Compares the two models' predictions of every sub-pixel given the true sub-pixels before it. The
// results are bit-identical for any number of threads. on_image, if there is one, receives the mean
// divergence. Throws Error if an option is out of range, if the images are not the models' size,
// if the models' vocabularies differ or if an image cannot be read, and NotFinite if its figures
// are not finite.
Divergence measure_divergence(const Model& reference, const Model& model, const Dataset& images,
                              const LikelihoodOptions& options = {}, const OnImage& on_image = {});

}  // namespace combiner
