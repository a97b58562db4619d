#include "bench/repeat.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <vector>

namespace combiner {
namespace {

Rate summarise(std::vector<double> rates) {
  std::ranges::sort(rates);
  const size_t half = rates.size() / 2;
  const double median = rates.size() % 2 == 1 ? rates[half] : (rates[half - 1] + rates[half]) / 2;
  return {median, (rates.back() - rates.front()) / median, static_cast<int>(rates.size())};
}

}  // namespace

std::optional<Rate> repeat(const Effort& effort,
                           const std::function<std::optional<double>()>& once) {
  std::vector<double> rates;
  double spent = 0, longest = 0;
  while (rates.empty() ||
         (std::ssize(rates) < effort.repeats && spent + longest <= effort.seconds)) {
    if (effort.cancel.asked()) break;
    std::optional<double> rate;
    const double seconds = seconds_of([&] { rate = once(); });
    if (!rate) break;
    rates.push_back(*rate);
    spent += seconds;
    longest = std::max(longest, seconds);
  }
  if (rates.empty()) return std::nullopt;
  return summarise(std::move(rates));
}

std::optional<Rate> repeat_short(const Effort& effort,
                                 const std::function<std::optional<double>(int64_t times)>& work) {
  if (!work(1)) return std::nullopt;
  // Time a fraction of a repeat, to find out how often the work fits into a whole one.
  constexpr double kProbeFraction = 0.1;
  int64_t times = 1;
  std::optional<double> seconds = work(times);
  while (seconds && *seconds < kProbeFraction * effort.seconds_each()) {
    times *= 2;
    seconds = work(times);
  }
  if (!seconds) return std::nullopt;
  // Slightly less than fits, so that slower repeats do not leave too little time for the last one.
  constexpr double kFillFraction = 0.9;
  const double fitting =
      kFillFraction * effort.seconds_each() / *seconds * static_cast<double>(times);
  times = std::max<int64_t>(1, std::llround(std::floor(fitting)));
  return repeat(effort, [&]() -> std::optional<double> {
    const std::optional<double> taken = work(times);
    if (!taken) return std::nullopt;
    return static_cast<double>(times) / *taken;
  });
}

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace combiner
