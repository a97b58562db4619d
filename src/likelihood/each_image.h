// Computing a figure for each image on several threads.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "base/thread_team.h"
#include "combiner/dataset.h"
#include "combiner/likelihood.h"

namespace combiner {

// Creates one function per thread with make() and calls them on the indices 0 .. count - 1, divided
// among the threads. Returns the results in order of index, or fewer than `count` of them if
// on_image stops the work. on_image receives the mean of the results' member `figure`.
template <class Result, class Make>
std::vector<Result> each_image(int64_t count, int threads, double Result::*figure,
                               const OnImage& on_image, Make&& make) {
  std::vector<decltype(make())> measures;
  for (int rank = 0; rank < threads; ++rank) measures.push_back(make());
  std::vector<std::optional<Result>> results(static_cast<size_t>(count));
  std::atomic<bool> stopped{false};
  std::mutex mutex;  // guards `results`, what follows, and on_image
  int64_t done = 0;
  double sum = 0;
  ThreadTeam(threads).for_each(count, [&](int rank, int64_t index) {
    if (stopped) return;
    const Result result = measures[static_cast<size_t>(rank)](index);
    const std::lock_guard lock(mutex);
    results[static_cast<size_t>(index)] = result;
    sum += result.*figure;
    ++done;
    if (!on_image(done, count, sum / static_cast<double>(done))) stopped = true;
  });

  std::vector<Result> finished;
  for (const auto& result : results)
    if (result) finished.push_back(*result);
  return finished;
}

}  // namespace combiner
