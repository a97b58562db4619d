// How fast a model samples, evaluates and trains on this machine, each as the program does it.
#pragma once

#include <cstdint>
#include <optional>

#include "bench/repeat.h"
#include "model/model.h"

namespace combiner {

struct Speed {
  Rate images;  // per second
  // Memory beyond what was there before, the model's own floats among it; no figure where the
  // system keeps no count.
  std::optional<int64_t> peak_bytes;
};

struct SamplingSpeed : Speed {
  int64_t weight_bytes = 0;            // of dense weights, laid out for products
  int64_t state_bytes = 0;             // of all images: keys, values and summaries of all layers
  double weight_bytes_per_second = 0;  // read; by all threads
};

// These give nothing if they were cancelled before anything was measured. Speed is that of whole
// images: an image's later positions attend more and cost more.

// `batch` images in all, at once. The time is from the first position's beginning to the last
// image's end: without the preparation.
std::optional<SamplingSpeed> measure_sampling(const Weights& weights, Precision precision,
                                              int64_t batch, const Effort& effort);

// Each thread has its own images, as many as fit into a repeat.
std::optional<Speed> measure_likelihood(const Weights& weights, Precision precision,
                                        const Effort& effort);

// Steps of `batch` images from random weights, with the default optimiser.
std::optional<Speed> measure_training(const ModelConfig& config, Precision precision, int64_t batch,
                                      const Effort& effort);

}  // namespace combiner
