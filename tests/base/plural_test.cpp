#include "base/plural.h"

#include "catch.h"

namespace combiner {

TEST_CASE("plural: only one is singular") {
  CHECK(plural(0, "image") == "0 images");
  CHECK(plural(1, "image") == "1 image");
  CHECK(plural(2, "image") == "2 images");
}

}  // namespace combiner
