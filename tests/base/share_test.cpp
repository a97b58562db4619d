#include "base/share.h"

#include <vector>

#include "base/thread_team.h"
#include "catch.h"

namespace combiner {
TEST_CASE("spin barrier: after each wait every thread sees what all threads did before it") {
  const int size = GENERATE(1, 2, 3, 4, 5, 8, 11);
  CAPTURE(size);
  constexpr int kWaits = 300;
  SpinBarrier barrier(size);
  // Plain integers: only the barrier makes one thread's writes visible to another.
  std::vector<int> done(static_cast<size_t>(size));
  std::vector<int> wrong(static_cast<size_t>(size));
  ThreadTeam(size).run([&](int rank) {
    const auto own = static_cast<size_t>(rank);
    for (int i = 1; i <= kWaits; ++i) {
      done[own] = i;
      barrier.wait(rank);
      for (const int other : done) wrong[own] += other != i;
      barrier.wait(rank);
    }
  });
  CHECK(wrong == std::vector<int>(static_cast<size_t>(size)));
}

TEST_CASE("spin barrier: once broken, it releases current waiters and never blocks later ones") {
  constexpr int kSize = 4;
  SpinBarrier barrier(kSize);
  std::vector<int> broken(kSize);
  ThreadTeam(kSize).run([&](int rank) {
    if (rank == 2) return barrier.break_up();
    for (int i = 0; i < 2; ++i) {
      try {
        barrier.wait(rank);
      } catch (const BrokenBarrier&) {
        ++broken[static_cast<size_t>(rank)];
      }
    }
  });
  CHECK(broken == std::vector<int>{2, 2, 0, 2});
}

TEST_CASE("share: splits the pieces among all threads, and every thread sees the result of each") {
  constexpr int kSize = 3;
  SpinBarrier barrier(kSize);
  const int64_t count = GENERATE(1, 2, 3, 7, 100);
  CAPTURE(count);
  std::vector<int> done(static_cast<size_t>(count));
  std::vector<int64_t> seen(kSize);
  ThreadTeam(kSize).run([&](int rank) {
    Share(rank, kSize, barrier).parallel_for(count, [&](int64_t first, int64_t number) {
      for (int64_t i = first; i < first + number; ++i) ++done[static_cast<size_t>(i)];
    });
    for (const int times : done) seen[static_cast<size_t>(rank)] += times;
  });
  CHECK(done == std::vector<int>(static_cast<size_t>(count), 1));
  CHECK(seen == std::vector<int64_t>(kSize, count));
}

}  // namespace combiner
