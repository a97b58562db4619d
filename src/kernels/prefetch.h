// Prefetching memory that will be written.
#pragma once

#include <cstddef>

namespace combiner {

// Prefetches `bytes` bytes into the L1 cache, exclusively for this processor, without waiting. A
// store that has to wait for its cache line holds up all stores behind it. A line prefetched for
// reading may still be shared with other processors, and the store would have to wait all the same.
void prefetch_to_write(const void* memory, size_t bytes);

}  // namespace combiner
