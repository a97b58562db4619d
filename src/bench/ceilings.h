// What the machine can do at most: the figures that the model's speed is a fraction of.
#pragma once

#include <cstdint>
#include <optional>

#include "bench/repeat.h"
#include "model/model.h"

namespace combiner {

// Whether the processor's products in the precision are ones that oneDNN makes for us: so f32, and
// bf16 where there are instructions for it, or it is made in float. int8 is multiplied by a kernel
// of our own, beside f32's ceiling, which it may pass.
bool has_own_products(Precision precision);

// Operations per second (a multiply-add is two) of oneDNN's products at the shapes of the model's
// dense layers, in the model's mix, over as many rows as a likelihood's: each thread has its own
// operands, which stay in its cache as far as they fit. For precisions with has_own_products().
std::optional<Rate> measure_products(const Weights& weights, Precision precision,
                                     const Effort& effort);

// Bytes read per second from `bytes` of memory that were just read before, each thread its share.
std::optional<Rate> measure_reading(int64_t bytes, const Effort& effort);

// So many bytes that hardly any are still in a cache when they are read again.
int64_t bytes_beyond_caches();

}  // namespace combiner
