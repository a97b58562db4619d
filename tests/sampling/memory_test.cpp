#include "sampling/memory.h"

#include "catch.h"

namespace combiner {

TEST_CASE("suggested batch: 16, or fewer if all threads together would take too much memory") {
  constexpr SamplingMemory kMemory{.state = 1000};
  CHECK(suggested_batch(kMemory, 1, 64'000) == 16);
  CHECK(suggested_batch(kMemory, 1, 1'000'000'000'000) == 16);
  CHECK(suggested_batch(kMemory, 1, 63'999) == 15);
  CHECK(suggested_batch(kMemory, 4, 128'000) == 8);
  CHECK(suggested_batch(kMemory, 64, 128'000) == 1);
  CHECK(suggested_batch(kMemory, 1, 0) == 1);
}

}  // namespace combiner
