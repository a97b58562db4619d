#include "base/memory.h"

#include <algorithm>
#include <cstdint>
#include <new>

#include "catch.h"

namespace combiner {
namespace {

// Sizes around the one at which allocations become memory mappings, and sizes that end inside a
// page.
TEST_CASE("allocate_zeros returns aligned zeros for every size, also after a block was freed") {
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{100}, (size_t{1} << 22) - 1,
                             size_t{1} << 22, (size_t{1} << 22) + 1, size_t{5000001}})
    for (int times = 0; times < 3; ++times) {
      auto* const block = static_cast<std::byte*>(allocate_zeros(bytes));
      REQUIRE(block);
      CHECK(reinterpret_cast<uintptr_t>(block) % 64 == 0);
      CHECK(std::all_of(block, block + bytes, [](std::byte b) { return b == std::byte{0}; }));
      std::fill_n(block, bytes, std::byte{0xff});
      free_zeros(block, bytes);
    }
}

TEST_CASE("allocate_zeros throws for more memory than can exist") {
  if (kAddressSanitizer) SKIP_TEST("the address sanitizer ends a program that asks for too much");
  CHECK_THROWS_AS(allocate_zeros(SIZE_MAX), std::bad_alloc);
  CHECK_THROWS_AS(allocate_zeros(SIZE_MAX / 2), std::bad_alloc);
  CHECK_THROWS_AS(allocate_zeros(SIZE_MAX / 4), std::bad_alloc);
}

TEST_CASE("machine memory: at least what this program uses, at most the address space") {
  CHECK(machine_memory() > int64_t{1} << 24);
  CHECK(machine_memory() < int64_t{1} << 57);
}

}  // namespace
}  // namespace combiner
