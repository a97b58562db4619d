#include "bench/repeat.h"

#include <chrono>
#include <thread>
#include <vector>

#include "catch.h"

namespace combiner {
namespace {

using Catch::Matchers::WithinRel;

TEST_CASE("a rate is the median of its repeats, with their relative spread") {
  const auto rate_of = [](std::vector<double> rates) {
    Effort effort;
    effort.repeats = static_cast<int>(rates.size());
    size_t next = 0;
    return repeat(effort, [&] { return std::optional(rates[next++]); });
  };
  const std::optional<Rate> odd = rate_of({4, 1, 2});
  REQUIRE(odd);
  CHECK(odd->median == 2);
  CHECK(odd->spread == 1.5);
  CHECK(odd->repeats == 3);
  const std::optional<Rate> even = rate_of({4, 1, 2, 3});
  REQUIRE(even);
  CHECK(even->median == 2.5);
  CHECK(rate_of({7})->spread == 0);
}

TEST_CASE("there is at least one repeat, and no more than the time allows") {
  Effort effort;
  effort.repeats = 100;
  effort.seconds = 0.01;
  int calls = 0;
  const auto slow = [&] {
    ++calls;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    return std::optional(1.0);
  };
  CHECK(repeat(effort, slow)->repeats == 1);
  CHECK(calls == 1);
  effort.seconds = 3600;
  effort.repeats = 3;
  CHECK(repeat(effort, slow)->repeats == 3);
}

TEST_CASE("a cancelled measurement keeps the repeats that finished") {
  Effort effort;
  int calls = 0;
  effort.cancel = Cancel([&] { return calls == 2; });
  CHECK(repeat(effort, [&] { return std::optional(double(++calls)); })->median == 1.5);
  CHECK_FALSE(repeat(effort, [&] { return std::optional(1.0); }));

  effort.cancel = {};
  calls = 0;
  const std::optional<Rate> rate = repeat(effort, [&]() -> std::optional<double> {
    return ++calls == 4 ? std::nullopt : std::optional(1.0);
  });
  REQUIRE(rate);
  CHECK(rate->repeats == 3);
}

TEST_CASE("short work is repeated to fill the time, and its rate is that of one run") {
  Effort effort;
  effort.seconds = 8;
  effort.repeats = 2;
  std::vector<int64_t> asked;
  // Each run takes 0.01 s by this fake clock.
  const std::optional<Rate> rate = repeat_short(effort, [&](int64_t times) {
    asked.push_back(times);
    return std::optional(0.01 * static_cast<double>(times));
  });
  REQUIRE(rate);
  CHECK_THAT(rate->median, WithinRel(100.0, 1e-9));
  CHECK(rate->repeats == 2);
  REQUIRE(asked.size() > 3);
  CHECK(asked.front() == 1);  // the warm-up
  // Each repeat takes at most half of the 8 seconds.
  CHECK(asked.back() > 300);
  CHECK(asked.back() <= 400);
  CHECK(asked[asked.size() - 2] == asked.back());

  // Work that takes longer than a repeat runs once per repeat.
  asked.clear();
  repeat_short(effort, [&](int64_t times) {
    asked.push_back(times);
    return std::optional(100.0 * static_cast<double>(times));
  });
  CHECK(asked == std::vector<int64_t>(4, 1));

  CHECK_FALSE(repeat_short(effort, [](int64_t) { return std::optional<double>(); }));
}

}  // namespace
}  // namespace combiner
