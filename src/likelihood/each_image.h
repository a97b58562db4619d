// Computing a figure for each image on several threads, and on several ranks.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/thread_team.h"
#include "cluster/gathering.h"
#include "combiner/error.h"
#include "combiner/likelihood.h"
#include "dataset/limit.h"

namespace combiner {

// Throws Error if the limit is negative or there are no threads.
void validate(const LikelihoodOptions& options);

// Creates one function per thread with make() and calls them with the index and the pixels of the
// images that `options` ask for, divided among the ranks and the threads. Returns the results in
// order of index, without those of images that can't be read (see options.on_bad) and of images
// that were not done when options.cancel ended the work. on_image, if there is one, receives the
// mean of the results' member `figure`. What one rank throws is thrown on all (sum_unless_failed).
template <class Result, class Make>
std::vector<Result> each_image(const Dataset& images, const LikelihoodOptions& options,
                               double Result::*figure, const OnImage& on_image, Make&& make) {
  static_assert(std::is_trivially_copyable_v<Result>);
  Cluster& cluster = options.cluster ? *options.cluster : single_process();
  const int64_t count = limited_size(images, options.limit);
  // This rank's images: every size-th one, as their difficulty may depend on their place.
  const int64_t own = (count - cluster.rank() + cluster.size() - 1) / cluster.size();
  const auto threads =
      static_cast<int>(std::max<int64_t>(1, std::min<int64_t>(options.threads, own)));
  struct Thread {
    decltype(make()) measure;
    std::vector<uint8_t> pixels;
  };
  std::vector<Thread> team;
  const size_t bytes =
      size_t{3} * static_cast<size_t>(images.width()) * static_cast<size_t>(images.height());
  for (int rank = 0; rank < threads; ++rank) team.push_back({make(), std::vector<uint8_t>(bytes)});
  std::vector<std::optional<Result>> results(static_cast<size_t>(count));
  std::mutex mutex;  // guards `results`, what follows, `gathering`, on_image and on_bad
  int64_t done = 0;
  int64_t total = count;
  double sum = 0;

  // What ranks give: an image's index and its result, or why it can't be read.
  struct Given {
    int64_t index;
    Result result;
  };
  constexpr char kResult = 'r', kBad = 'b';
  const auto take = [&](int, const std::string& text) {
    if (text.front() == kBad) {
      options.on_bad(text.substr(1));
      --total;
      return;
    }
    Given given;
    std::memcpy(&given, text.data() + 1, sizeof given);
    results[static_cast<size_t>(given.index)] = given.result;
    sum += given.result.*figure;
    ++done;
    if (on_image) on_image(done, total, sum / static_cast<double>(done));
  };
  Gathering gathering(cluster, take, options.cancel);
  const auto give = [&](char kind, std::string_view text) {
    const std::lock_guard lock(mutex);
    gathering.give(std::string(1, kind).append(text));
    gathering.go_on();
  };

  const auto read = [&](int64_t index, std::vector<uint8_t>& pixels) {
    try {
      images.read(index, pixels);
      return true;
    } catch (const Error& error) {
      if (!options.on_bad) throw;
      give(kBad, error.what());
      return false;
    }
  };
  gathering.finish_after([&] {
    ThreadTeam(threads).for_each(own, [&](int rank, int64_t item) {
      const int64_t index = item * cluster.size() + cluster.rank();
      auto& [measure, pixels] = team[static_cast<size_t>(rank)];
      if (gathering.stopped() || !read(index, pixels)) return;
      try {
        const Given given{index, measure(index, pixels)};
        give(kResult, {reinterpret_cast<const char*>(&given), sizeof given});
      } catch (const Cancelled&) {
        const std::lock_guard lock(mutex);
        gathering.stop();
      }
    });
  });

  std::vector<Result> finished;
  for (const auto& result : results)
    if (result) finished.push_back(*result);
  return finished;
}

}  // namespace combiner
