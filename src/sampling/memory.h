// What sampling holds in memory, and reads of it.
#pragma once

#include <cstdint>

#include "model/model.h"

namespace combiner {

// In bytes. Activations and other scratch memory, some megabytes to a thread, are not in it.
struct SamplingMemory {
  int64_t weights = 0;          // dense weights, packed for products
  int64_t summary_weights = 0;  // of those, what is read once a row and not at every position
  int64_t state = 0;            // of each image: keys, values and summaries of all layers
};
SamplingMemory sampling_memory(const Weights& weights, Precision precision);

// How many images a thread had best draw at once: as many as make it faster, all reading the
// weights together, but no more than that those of all threads take a quarter of `bytes` of memory;
// at least one.
int suggested_batch(const SamplingMemory& memory, int threads, int64_t bytes);

}  // namespace combiner
