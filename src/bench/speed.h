// How fast a model samples, evaluates and trains on this machine, measured as the program does it.
#pragma once

#include <cstdint>
#include <optional>

#include "bench/repeat.h"
#include "model/model.h"

namespace combiner {

struct Speed {
  Rate images;  // per second
  // Peak memory in bytes beyond what was resident before the measurement; nullopt where the system
  // keeps no count. It includes the float weights in training only, which creates them.
  std::optional<int64_t> peak_bytes;
};

struct SamplingSpeed : Speed {
  int64_t weight_bytes = 0;            // dense weights, packed for products
  int64_t state_bytes = 0;             // all images: keys, values and summaries of all layers
  double weight_bytes_per_second = 0;  // read, by all threads together
};

// These return nullopt if asked to end before anything was measured. Speeds are of whole images,
// because an image's later positions attend to more keys and cost more.

// Samples `batch` images in all, at once. The time runs from the start of the first position to the
// end of the last image, without the preparation.
std::optional<SamplingSpeed> measure_sampling(const Weights& weights, Precision precision,
                                              int64_t batch, const Effort& effort);

// Each thread evaluates its own images, as many as fit into a repeat.
std::optional<Speed> measure_likelihood(const Weights& weights, Precision precision,
                                        const Effort& effort);

// Makes training steps of `batch` images from random weights, with the default optimiser.
std::optional<Speed> measure_training(const ModelConfig& config, Precision precision, int64_t batch,
                                      const Effort& effort);

}  // namespace combiner
