#include "tensor/memory.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <iterator>
#include <limits>
#include <map>
#include <mutex>
#include <new>

#include "tensor/round_up.h"

namespace combiner {
namespace {

constexpr std::align_val_t kAlignment{64};
// Large pages of the processors that have them: on small ones nearly each row of a matrix has its
// own. A block from half of a large one on takes a whole one, of a block of two and more the end
// does with small ones, for there may be many such blocks. Smaller blocks share large pages.
constexpr size_t kLargePage = size_t{1} << 21;
constexpr size_t kLargeBlock = kLargePage / 2;
constexpr size_t kSharingBlock = kLargePage / 8;

#if defined(__SANITIZE_ADDRESS__)
// Which doesn't watch the ends of mappings.
constexpr bool kMaps = false;
#else
constexpr bool kMaps = true;
#endif

bool is_mapped(size_t bytes) { return kMaps && bytes >= kLargeBlock; }
bool is_sharing(size_t bytes) { return kMaps && bytes >= kSharingBlock && bytes < kLargeBlock; }
size_t mapped_size(size_t bytes) {
  const size_t page =
      bytes < 2 * kLargePage ? kLargePage : static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  return round_up(bytes, page);
}

// Zeros from the beginning of a large page on.
std::byte* map_zeros(size_t size) {
  // More than is wanted, so that a large page begins in it; what comes before and after goes back.
  const size_t map_size = size + kLargePage;
  void* const mapping =
      ::mmap(nullptr, map_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED) throw std::bad_alloc();
  auto* const first = static_cast<std::byte*>(mapping);
  const size_t before = -reinterpret_cast<uintptr_t>(first) % kLargePage;
  std::byte* const block = first + before;
  if (before > 0) ::munmap(first, before);
  if (before + size < map_size) ::munmap(block + size, map_size - before - size);
#ifdef MADV_HUGEPAGE
  ::madvise(block, size, MADV_HUGEPAGE);  // is a wish
#endif
  return block;
}

// Large pages that blocks share. Each block takes the next piece of the newest page, which was
// never another's and so is zero; a page goes when all its blocks have gone.
class SharedPages {
 public:
  std::byte* allocate(size_t bytes) {
    const std::lock_guard lock(mutex_);
    bytes = round_up(bytes, static_cast<size_t>(kAlignment));
    if (newest_ == nullptr || taken_ + bytes > kLargePage) {
      std::byte* const page = map_zeros(kLargePage);
      blocks_[page] = 0;
      newest_ = page;
      taken_ = 0;
    }
    std::byte* const block = newest_ + taken_;
    taken_ += bytes;
    ++blocks_[newest_];
    return block;
  }
  void free(std::byte* block) noexcept {
    const std::lock_guard lock(mutex_);
    const auto page = std::prev(blocks_.upper_bound(block));
    if (--page->second > 0) return;
    if (page->first == newest_) newest_ = nullptr;
    ::munmap(page->first, kLargePage);
    blocks_.erase(page);
  }

 private:
  std::mutex mutex_;
  std::map<std::byte*, int> blocks_;  // of each page
  std::byte* newest_ = nullptr;
  size_t taken_ = 0;  // of the newest page
};

// Never destroyed: blocks may live as long as the process.
SharedPages& shared_pages() {
  static auto& pages = *new SharedPages;
  return pages;
}

}  // namespace

void* allocate_zeros(size_t bytes) {
  if (bytes > std::numeric_limits<std::ptrdiff_t>::max()) throw std::bad_alloc();
  if (is_mapped(bytes)) return map_zeros(mapped_size(bytes));
  if (is_sharing(bytes)) return shared_pages().allocate(bytes);
  return std::memset(::operator new(bytes, kAlignment), 0, bytes);
}

void free_zeros(void* block, size_t bytes) noexcept {
  if (is_mapped(bytes))
    ::munmap(block, mapped_size(bytes));
  else if (is_sharing(bytes))
    shared_pages().free(static_cast<std::byte*>(block));
  else
    ::operator delete(block, kAlignment);
}

}  // namespace combiner
