#include "catch.h"
#include "kernels/table.h"
#include "product_bounds.h"

namespace combiner {
namespace {

// A tile has 16 rows, 16 columns and a depth of 32; tiles are read two at a time. Products are
// blocked by a depth of 512 and by 256 rows and columns.
constexpr int64_t kDepths[] = {0, 1, 31, 32, 65, 513, 1040};
constexpr int64_t kSizes[] = {1, 15, 16, 17, 47, 64, 81};

void check(int64_t depth, int64_t rows, int64_t columns, Random& random, Scratch& scratch) {
  INFO(depth << " depths, " << rows << " x " << columns);
  const PaddedMatrix<bfloat16> a(depth, rows, random), b(depth, columns, random);
  const PaddedMatrix<float> before(rows, columns, random);
  for (const bool accumulate : {false, true}) {
    PaddedMatrix<float> c = before;
    kernels().multiply_transposed(a.view(), b.view(), c.view(), accumulate, scratch);
    const auto transpose = [&](int64_t i, int64_t k) { return a(k, i); };
    CHECK(worst_product_error(c, depth, transpose, b, accumulate ? &before : nullptr, nullptr) <=
          1.0);
    CHECK(c.gaps_kept());
  }
}

TEST_CASE("Our own products of a transpose agree with a plain loop") {
  if (!kernels().multiply_transposed) SKIP_TEST("on this processor, oneDNN makes them");
  Random random(1);
  Scratch scratch;
  for (const int64_t depth : kDepths)
    for (const int64_t rows : kSizes)
      for (const int64_t columns : kSizes) check(depth, rows, columns, random, scratch);
  for (const int64_t rows : {200, 300})
    for (const int64_t columns : {256, 550}) check(530, rows, columns, random, scratch);
}

}  // namespace
}  // namespace combiner
