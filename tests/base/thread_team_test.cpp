#include "base/thread_team.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>

#include "catch.h"
#include "cpu/limits.h"
#include "error_of.h"

namespace combiner {
namespace {

TEST_CASE("A team runs the work once on every rank, each on its own thread") {
  for (const int size : {1, 2, 5}) {
    ThreadTeam team(size);
    CHECK(team.size() == size);
    std::vector<std::thread::id> first(static_cast<size_t>(size)), second = first;
    std::vector<int> calls(static_cast<size_t>(size), 0);
    const auto note = [&](std::vector<std::thread::id>& threads) {
      team.run([&](int rank) {
        threads[static_cast<size_t>(rank)] = std::this_thread::get_id();
        ++calls[static_cast<size_t>(rank)];
      });
    };
    note(first);
    note(second);
    CHECK(calls == std::vector<int>(static_cast<size_t>(size), 2));
    CHECK(std::set<std::thread::id>(first.begin(), first.end()).size() == first.size());
    CHECK(std::set<std::thread::id>(first.begin(), first.end()).count(std::this_thread::get_id()) ==
          0);
    CHECK(first == second);
  }
}

// A limit on processes binds no user that may exceed it, such as root, so another one tries.
TEST_CASE("A team that the system refuses says of how many threads, and leaves none") {
  if (kAddressSanitizer) SKIP_TEST("the address sanitizer needs a thread of its own");
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    constexpr uid_t kNobody = 65534;
    const rlimit none = {0, 0};
    std::string message = "the limit can't be set";
    if ((::geteuid() != 0 || ::setuid(kNobody) == 0) && ::setrlimit(RLIMIT_NPROC, &none) == 0)
      message = error_of([] { ThreadTeam team(3); });
    const auto written = ::write(ends[1], message.data(), message.size());
    ::_exit(std::cmp_equal(written, message.size()) ? 0 : 1);
  }
  ::close(ends[1]);
  std::array<char, 1000> message;
  const auto size = ::read(ends[0], message.data(), message.size());
  ::close(ends[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
  CHECK_THAT(std::string(message.data(), static_cast<size_t>(std::max<ssize_t>(size, 0))),
             contains("can't start 3 threads to compute with, only 0: Resource temporarily "
                      "unavailable") &&
                 contains("--threads"));
}

TEST_CASE("A team of size zero or less has one thread") {
  CHECK(ThreadTeam(0).size() == 1);
  CHECK(ThreadTeam(-3).size() == 1);
  CHECK(usable_threads() >= 1);
}

TEST_CASE("A team's ranks run concurrently") {
  ThreadTeam team(3);
  std::atomic<int> arrived{0};
  // This would wait forever if one rank ran after another.
  team.run([&](int) {
    ++arrived;
    while (arrived < 3) std::this_thread::yield();
  });
  CHECK(arrived == 3);
}

TEST_CASE("for_each covers every index once") {
  ThreadTeam team(3);
  for (const int64_t count : {0, 1, 2, 3, 1000}) {
    std::vector<std::atomic<int>> calls(static_cast<size_t>(count));
    std::atomic<int> strange_ranks{0};
    team.for_each(count, [&](int rank, int64_t index) {
      if (rank < 0 || rank >= 3) ++strange_ranks;
      ++calls.at(static_cast<size_t>(index));
    });
    int missed = 0;
    for (const std::atomic<int>& n : calls)
      if (n != 1) ++missed;
    CHECK(missed == 0);
    CHECK(strange_ranks == 0);
  }
}

TEST_CASE("run rethrows a rank's exception after all ranks have ended") {
  ThreadTeam team(3);
  for (int time = 0; time < 2; ++time) {
    std::atomic<int> ended{0};
    CHECK_THROWS_WITH(team.run([&](int rank) {
      if (rank == 1) throw std::runtime_error("rank 1 failed");
      ++ended;
    }),
                      "rank 1 failed");
    CHECK(ended == 2);
    // The team remains usable, and the exception is gone.
    ended = 0;
    team.run([&](int) { ++ended; });
    CHECK(ended == 3);
  }
}

TEST_CASE("When every rank throws, run rethrows one of the exceptions") {
  ThreadTeam team(4);
  CHECK_THROWS_AS(team.run([](int) { throw std::out_of_range("all"); }), std::out_of_range);
  CHECK_NOTHROW(team.run([](int) {}));
}

TEST_CASE("After an exception for_each starts no further index") {
  ThreadTeam one(1);
  std::vector<int64_t> started;
  CHECK_THROWS_AS(one.for_each(10,
                               [&](int, int64_t index) {
                                 started.push_back(index);
                                 if (index == 3) throw std::runtime_error("index 3 failed");
                               }),
                  std::runtime_error);
  CHECK(started == std::vector<int64_t>{0, 1, 2, 3});

  ThreadTeam team(3);
  std::atomic<int64_t> calls{0};
  CHECK_THROWS_WITH(team.for_each(1'000'000,
                                  [&](int, int64_t) {
                                    ++calls;
                                    throw std::runtime_error("each failed");
                                  }),
                    "each failed");
  CHECK(calls <= 3);
  team.for_each(5, [&](int, int64_t) { ++calls; });
  CHECK(calls >= 6);
}

}  // namespace
}  // namespace combiner
