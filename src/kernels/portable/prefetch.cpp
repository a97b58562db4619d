#include "kernels/prefetch.h"

namespace combiner {

// Without this attribute, compilers emit the instruction that prefetches for reading. The attribute
// selects PREFETCHW, which does nothing on x86-64 processors that do not support it.
#if defined(__x86_64__)
__attribute__((target("prfchw")))
#endif
void prefetch_to_write(const void* memory, size_t bytes) {
  constexpr size_t kCacheLine = 64;
  const char* from = static_cast<const char*>(memory);
  for (size_t i = 0; i < bytes; i += kCacheLine) __builtin_prefetch(from + i, 1);
}

}  // namespace combiner
