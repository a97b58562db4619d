// Computing a figure for each image on several threads.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "base/thread_team.h"
#include "combiner/error.h"
#include "combiner/likelihood.h"
#include "dataset/limit.h"

namespace combiner {

// Creates one function per thread with make() and calls them with the index and the pixels of the
// images that `options` ask for, divided among the threads. Returns the results in order of index,
// without those of images that can't be read (see options.on_bad) and of images that were not done
// when on_image or options.cancel stopped the work. on_image receives the mean of the results'
// member `figure`.
template <class Result, class Make>
std::vector<Result> each_image(const Dataset& images, const LikelihoodOptions& options,
                               double Result::*figure, const OnImage& on_image, Make&& make) {
  const int64_t count = limited_size(images, options.limit);
  const auto threads =
      static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(options.threads, count)));
  struct Thread {
    decltype(make()) measure;
    std::vector<uint8_t> pixels;
  };
  std::vector<Thread> team;
  const size_t bytes =
      size_t{3} * static_cast<size_t>(images.width()) * static_cast<size_t>(images.height());
  for (int rank = 0; rank < threads; ++rank) team.push_back({make(), std::vector<uint8_t>(bytes)});
  std::vector<std::optional<Result>> results(static_cast<size_t>(count));
  std::atomic<bool> stopped{false};
  std::mutex mutex;  // guards `results`, what follows, on_image and on_bad
  int64_t done = 0;
  int64_t total = count;
  double sum = 0;

  const auto read = [&](int64_t index, std::vector<uint8_t>& pixels) {
    try {
      images.read(index, pixels);
      return true;
    } catch (const Error& error) {
      if (!options.on_bad) throw;
      const std::lock_guard lock(mutex);
      options.on_bad(error.what());
      --total;
      return false;
    }
  };
  ThreadTeam(threads).for_each(count, [&](int rank, int64_t index) {
    auto& [measure, pixels] = team[static_cast<size_t>(rank)];
    if (stopped || !read(index, pixels)) return;
    try {
      const Result result = measure(index, pixels);
      const std::lock_guard lock(mutex);
      results[static_cast<size_t>(index)] = result;
      sum += result.*figure;
      ++done;
      if (!on_image(done, total, sum / static_cast<double>(done))) stopped = true;
    } catch (const Cancelled&) {
      stopped = true;
    }
  });

  std::vector<Result> finished;
  for (const auto& result : results)
    if (result) finished.push_back(*result);
  return finished;
}

}  // namespace combiner
