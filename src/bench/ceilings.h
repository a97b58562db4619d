// What the machine can do at most: the figures that the model's speed is a fraction of.
#pragma once

#include <cstdint>
#include <optional>

#include "bench/repeat.h"
#include "model/model.h"

namespace combiner {

// Whether the processor multiplies matrices faster in the precision than in float, as oneDNN finds
// out: f32 itself, bf16 and int8 where there are instructions for them. A model in bf16 where it
// does not is computed in float; one in int8 has a kernel of its own everywhere, and where it does
// not stands beside f32's ceiling, which it may pass.
bool has_own_products(Precision precision);

// Operations per second (a multiply-add is two) of oneDNN's products at the shapes of the model's
// dense layers, in the model's mix, over as many rows as a likelihood's: each thread has its own
// operands, which stay in its cache as far as they fit. All is in the precision, what the products
// write too. For precisions with has_own_products().
std::optional<Rate> measure_products(const Weights& weights, Precision precision,
                                     const Effort& effort);

// Bytes read per second from `bytes` of memory that were just read before, each thread its share.
std::optional<Rate> measure_reading(int64_t bytes, const Effort& effort);

// So many bytes that hardly any are still in a cache when they are read again.
int64_t bytes_beyond_caches();

}  // namespace combiner
