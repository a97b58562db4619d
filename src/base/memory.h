// Memory for arrays.
#pragma once

#include <cstddef>
#include <cstdint>

namespace combiner {

// Zeros, aligned to cache lines and vector registers. Large blocks are mappings of their own that
// take pages when they are first touched, near the thread that does, and large pages where the
// system has them. Throws std::bad_alloc.
void* allocate_zeros(size_t bytes);
// Of so many bytes.
void free_zeros(void* block, size_t bytes) noexcept;

// The machine's memory in bytes.
int64_t machine_memory();

}  // namespace combiner
