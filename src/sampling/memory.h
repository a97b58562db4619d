// How much memory sampling holds, and how much of it is read.
#pragma once

#include <cstdint>

#include "model/model.h"

namespace combiner {

// Sizes in bytes. Activations and other scratch memory, a few megabytes per thread, are not
// included.
struct SamplingMemory {
  int64_t weights = 0;          // dense weights, packed for products
  int64_t summary_weights = 0;  // those of `weights` that are read once per row only
  int64_t state = 0;            // per image: keys, values and summaries of all layers
};
SamplingMemory sampling_memory(const Weights& weights, Precision precision);

// The number of images that a thread should draw at once. Images share the reading of weights, so
// more are faster, up to a point; but the states of all threads' images must not take more than a
// quarter of `bytes` of memory. At least 1.
int suggested_batch(const SamplingMemory& memory, int threads, int64_t bytes);

}  // namespace combiner
