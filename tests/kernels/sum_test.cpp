#include "kernels/sum.h"

#include <numeric>
#include <vector>

#include "catch.h"
#include "instruction_sets.h"

namespace combiner {
namespace {

TEST_CASE("sum adds every value once and reads nothing beyond them") {
  for_each_instruction_set([] {
    for (const size_t size : {0, 1, 3, 7, 8, 31, 32, 33, 64, 127, 128, 129, 200, 1000}) {
      // Sums of these whole numbers are exact in any order. The values around them must not be
      // read.
      std::vector<float> values(size + 2, 1e30f);
      std::iota(values.begin() + 1, values.end() - 1, 1.0f);
      const auto count = static_cast<float>(size);
      INFO(size);
      CHECK(sum({values.data() + 1, size}) == count * (count + 1) / 2);
    }
  });
}

}  // namespace
}  // namespace combiner
