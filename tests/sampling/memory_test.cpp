#include "sampling/memory.h"

#include "catch.h"

namespace combiner {

TEST_CASE("suggested batch: 32, or fewer if all threads together would take too much memory") {
  constexpr SamplingMemory kMemory{.state = 1000};
  CHECK(suggested_batch(kMemory, 1, 128'000) == 32);
  CHECK(suggested_batch(kMemory, 1, 1'000'000'000'000) == 32);
  CHECK(suggested_batch(kMemory, 1, 127'999) == 31);
  CHECK(suggested_batch(kMemory, 4, 128'000) == 8);
  CHECK(suggested_batch(kMemory, 64, 128'000) == 1);
  CHECK(suggested_batch(kMemory, 1, 0) == 1);
}

}  // namespace combiner
