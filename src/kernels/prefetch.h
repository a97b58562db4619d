// Fetching memory that is to be written.
#pragma once

#include <cstddef>

namespace combiner {

// Into the nearest cache and for this processor alone, without waiting: a store that must first
// wait for its cache line holds up all behind it. Fetched as if to be read, a line may be left
// shared with other processors, and the store waits all the same.
void prefetch_to_write(const void* memory, size_t bytes);

}  // namespace combiner
