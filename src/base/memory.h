// Memory for arrays.
#pragma once

#include <cstddef>
#include <cstdint>

namespace combiner {

// Allocates zeroed memory, aligned to cache lines and vector registers. Large blocks are mappings
// of their own: their pages are allocated when first touched, near the thread that touches them,
// and are large pages where the system has them. Throws std::bad_alloc.
void* allocate_zeros(size_t bytes);
// Frees a block that allocate_zeros(bytes) returned.
void free_zeros(void* block, size_t bytes) noexcept;

// The machine's memory in bytes.
int64_t machine_memory();

}  // namespace combiner
