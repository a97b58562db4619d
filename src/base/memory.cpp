#include "base/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <limits>
#include <new>

#include "base/round_up.h"

namespace combiner {
namespace {

constexpr std::align_val_t kAlignment{64};
// The size of large pages, on processors that have them. A block of at least half a large page gets
// a whole one: this may double its memory, but on small pages nearly every row of a matrix would be
// on a page of its own. A block of two large pages or more ends with small pages instead, because
// there may be many such blocks.
constexpr size_t kLargePage = size_t{1} << 21;
constexpr size_t kLargeBlock = kLargePage / 2;

#if defined(__has_feature)
#define COMBINER_HAS_FEATURE(name) __has_feature(name)  // clang's way to say it
#else
#define COMBINER_HAS_FEATURE(name) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || COMBINER_HAS_FEATURE(address_sanitizer)
// AddressSanitizer does not check the ends of mappings.
constexpr bool kMaps = false;
#else
constexpr bool kMaps = true;
#endif

bool is_mapped(size_t bytes) { return kMaps && bytes >= kLargeBlock; }
size_t mapped_size(size_t bytes) {
  const size_t page =
      bytes < 2 * kLargePage ? kLargePage : static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return round_up(bytes, page);
}

}  // namespace

void* allocate_zeros(size_t bytes) {
  if (bytes > std::numeric_limits<std::ptrdiff_t>::max()) throw std::bad_alloc();
  if (!is_mapped(bytes)) return std::memset(::operator new(bytes, kAlignment), 0, bytes);
  // Map more than needed, so that a large page begins inside, and unmap what comes before and
  // after.
  const size_t kept = mapped_size(bytes);
  const size_t map_size = kept + kLargePage;
  void* const mapping =
      ::mmap(nullptr, map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) throw std::bad_alloc();
  auto* const first = static_cast<std::byte*>(mapping);
  const size_t before = -reinterpret_cast<uintptr_t>(first) % kLargePage;
  std::byte* const block = first + before;
  if (before > 0) ::munmap(first, before);
  if (before + kept < map_size) ::munmap(block + kept, map_size - before - kept);
#ifdef MADV_HUGEPAGE
  ::madvise(block, kept, MADV_HUGEPAGE);  // a hint, which may fail
#endif
  return block;
}

void free_zeros(void* block, size_t bytes) noexcept {
  if (is_mapped(bytes))
    ::munmap(block, mapped_size(bytes));
  else
    ::operator delete(block, kAlignment);
}

int64_t machine_memory() {
  return int64_t{::sysconf(_SC_PHYS_PAGES)} * int64_t{::sysconf(_SC_PAGESIZE)};
}

}  // namespace combiner
