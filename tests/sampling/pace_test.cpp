#include "sampling/pace.h"

#include "catch.h"

namespace combiner {
namespace {

// Decodes `positions` positions that take these seconds, and returns how many of them one thread
// decoded alone.
int64_t count_alone(TeamPace& pace, int positions, double alone, double team) {
  int64_t count = 0;
  for (int i = 0; i < positions; ++i) {
    count += pace.alone();
    pace.took(pace.alone() ? alone : team);
  }
  return count;
}

TEST_CASE("A team that is faster works together after the first few positions") {
  TeamPace pace;
  CHECK(count_alone(pace, 1000, 1.0, 0.6) == 4);
}

TEST_CASE("A team that is held up rests, and seldom tries again") {
  TeamPace pace;
  CHECK(count_alone(pace, 100, 1.0, 0.6) == 4);
  CHECK(count_alone(pace, 1000, 1.0, 50.0) >= 997);
  SECTION("until nothing holds it up any more") {
    count_alone(pace, 1000, 1.0, 0.6);
    CHECK(count_alone(pace, 1000, 1.0, 0.6) == 0);
  }
}

TEST_CASE("A team that is a little slower than one thread rests after another comparison") {
  TeamPace pace;
  CHECK(count_alone(pace, 4, 1.0, 1.2) == 4);
  CHECK(count_alone(pace, 4, 1.0, 1.2) == 0);
  CHECK(count_alone(pace, 4, 1.0, 1.2) == 4);
  CHECK(count_alone(pace, 4, 1.0, 1.2) == 0);
  CHECK(count_alone(pace, 256, 1.0, 1.2) == 256);
}

TEST_CASE("A team does not rest because of one position that is held up") {
  TeamPace pace;
  count_alone(pace, 100, 1.0, 0.6);
  pace.took(8.0);
  CHECK(count_alone(pace, 100, 1.0, 0.6) == 4);
}

TEST_CASE("A team does not rest because later positions take longer") {
  TeamPace pace;
  int64_t alone = 0;
  for (int i = 0; i < 1000; ++i) {
    const double cost = 1.0 + 2.0 * i / 1000;
    alone += count_alone(pace, 1, cost, 0.8 * cost);
  }
  CHECK(alone < 50);
}

}  // namespace
}  // namespace combiner
