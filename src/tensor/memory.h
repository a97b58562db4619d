// Memory for arrays.
#pragma once

#include <cstddef>

namespace combiner {

// Zeros, aligned to cache lines and vector registers. Large blocks are mappings of their own that
// take pages when they are first touched, near the thread that does, and large pages where the
// system has them. Throws std::bad_alloc.
void* allocate_zeros(size_t bytes);
// Of so many bytes.
void free_zeros(void* block, size_t bytes) noexcept;

}  // namespace combiner
