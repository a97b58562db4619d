// The most that the machine can do: the ceilings that a model's speed is compared with.
#pragma once

#include <cstdint>
#include <optional>

#include "bench/repeat.h"
#include "model/model.h"

namespace combiner {

// Whether the processor has instructions for products in this precision, which it always has for
// f32. Without them, a model in that precision is compared with the f32 ceiling, which an int8
// model may exceed.
bool has_own_products(Precision precision);

// Measures oneDNN's matrix products at the shapes of the model's dense layers, in the model's mix,
// over min(512, positions) rows. Returns operations per second (a multiply-add counts as two), or
// nullopt if asked to end. Operands and results are all in `precision`, which must satisfy
// has_own_products(). Each thread has its own operands, which stay in its cache as far as they fit.
std::optional<Rate> measure_products(const Weights& weights, Precision precision,
                                     const Effort& effort);

// Measures the bytes read per second when the threads read their shares of `bytes` of memory again
// and again. Returns nullopt if asked to end.
std::optional<Rate> measure_reading(int64_t bytes, const Effort& effort);

// A size so large that hardly any of it is still in a cache when it is read again.
int64_t bytes_beyond_caches();

}  // namespace combiner
