#include "neighbours/nearest.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <mutex>
#include <tuple>
#include <utility>

#include "base/for_each_band.h"
#include "base/thread_team.h"
#include "combiner/error.h"
#include "dataset/limit.h"
#include "image/mirror.h"

namespace combiner {
namespace {

constexpr int kChannels = 3;
constexpr int kBlock = 4;  // the side of the blocks that means are taken over

// What an image is compared by. Both are vectors of small integers, so distances are exact and
// quick to compute.
struct Features {
  std::vector<uint8_t> pixels;  // [height, width, 3]
  // [blocks down, blocks across, 3]: a block's mean times 4 times the root of its pixels, rounded.
  // For a whole block that is the sum of its pixels. The sum of square differences, over 16, is
  // that of the means, each counted as often as its block has pixels.
  std::vector<int16_t> means;
};

constexpr int kMostPixel = 255;
constexpr int kMostMean = kMostPixel * kBlock * kBlock;

void compute_means(std::span<const uint8_t> pixels, int width, int height,
                   std::vector<int16_t>& means) {
  means.clear();
  for_each_band(height, kBlock, [&](int64_t top, int64_t rows) {
    for_each_band(width, kBlock, [&](int64_t left, int64_t columns) {
      for (int channel = 0; channel < kChannels; ++channel) {
        int sum = 0;
        for (int64_t y = top; y < top + rows; ++y)
          for (int64_t x = left; x < left + columns; ++x)
            sum += pixels[static_cast<size_t>((y * width + x) * kChannels + channel)];
        const auto area = static_cast<double>(rows * columns);
        means.push_back(static_cast<int16_t>(std::lround(sum * kBlock / std::sqrt(area))));
      }
    });
  });
}

Features features_of(Image image) {
  Features features;
  compute_means(image.pixels, image.width, image.height, features.means);
  features.pixels = std::move(image.pixels);
  return features;
}

Image mirrored_image(Image image) {
  mirror(image.pixels, image.width);
  return image;
}

// The sum of square differences. No difference may exceed kMost.
template <int kMost, class T>
int64_t square_distance(const std::vector<T>& a, const std::vector<T>& b) {
  // As many squares as fit into 32 bits, in which the compiler's vectors add faster.
  constexpr int kBand = std::numeric_limits<int32_t>::max() / (kMost * kMost);
  int64_t total = 0;
  for_each_band(static_cast<int64_t>(a.size()), kBand, [&](int64_t first, int64_t size) {
    const T* const x = a.data() + first;
    const T* const y = b.data() + first;
    int32_t sum = 0;
    for (int64_t i = 0; i < size; ++i) {
      const auto difference = static_cast<int16_t>(x[i] - y[i]);
      sum += difference * difference;
    }
    total += sum;
  });
  return total;
}

struct Candidate {
  int64_t square_distance = 0;
  int64_t index = 0;
  bool mirrored = false;

  bool operator<(const Candidate& other) const {
    return std::tie(square_distance, index) < std::tie(other.square_distance, other.index);
  }
};

// The best `count` of the candidates added so far, the best first. Which ones they are does not
// depend on the order in which they are added.
class Best {
 public:
  explicit Best(int count) : count_(static_cast<size_t>(count)) {}

  void add(const Candidate& candidate) {
    if (candidates_.size() == count_ && !(candidate < candidates_.back())) return;
    candidates_.insert(std::ranges::upper_bound(candidates_, candidate, std::less<>()), candidate);
    if (candidates_.size() > count_) candidates_.pop_back();
  }
  void add(const Best& other) {
    for (const Candidate& candidate : other.candidates_) add(candidate);
  }

  // `parts` is the number of square differences of sub-pixels in a square distance.
  std::vector<Neighbour> neighbours(double parts) const {
    std::vector<Neighbour> all;
    for (const Candidate& candidate : candidates_)
      all.push_back({candidate.index, candidate.mirrored,
                     std::sqrt(static_cast<double>(candidate.square_distance) / parts)});
    return all;
  }

 private:
  size_t count_;
  std::vector<Candidate> candidates_;
};

// One picture to find neighbours of. It is mirrored, and not the images, so that it is done once.
struct Query {
  explicit Query(const Image& picture)
      : as_it_is(features_of(picture)), mirrored(features_of(mirrored_image(picture))) {}
  Features as_it_is, mirrored;
};

struct BestOfQuery {
  Best in_pixels, in_means;
};

Candidate candidate_of(int64_t index, int64_t as_it_is, int64_t mirrored) {
  return {std::min(as_it_is, mirrored), index, mirrored < as_it_is};
}

// Per-thread searcher.
class Searcher {
 public:
  Searcher(const Dataset& images, const std::vector<Query>& queries, int count)
      : images_(images),
        queries_(queries),
        image_{std::vector<uint8_t>(queries.front().as_it_is.pixels.size()), {}},
        best_(queries.size(), {Best(count), Best(count)}) {}

  // Throws Error if the image can't be read.
  void read(int64_t index) { images_.read(index, image_.pixels); }
  // Compares the image that was read.
  void compare(int64_t index) {
    compute_means(image_.pixels, images_.width(), images_.height(), image_.means);
    for (size_t i = 0; i < queries_.size(); ++i) {
      const auto& [as_it_is, mirrored] = queries_[i];
      best_[i].in_pixels.add(
          candidate_of(index, square_distance<kMostPixel>(image_.pixels, as_it_is.pixels),
                       square_distance<kMostPixel>(image_.pixels, mirrored.pixels)));
      best_[i].in_means.add(candidate_of(index,
                                         square_distance<kMostMean>(image_.means, as_it_is.means),
                                         square_distance<kMostMean>(image_.means, mirrored.means)));
    }
  }

  const std::vector<BestOfQuery>& best() const { return best_; }

 private:
  const Dataset& images_;
  const std::vector<Query>& queries_;
  Features image_;
  std::vector<BestOfQuery> best_;
};

void require_fit(std::span<const Image> pictures, const Dataset& images) {
  if (images.size() == 0) throw Error("the data set has no images");
  for (size_t i = 0; i < pictures.size(); ++i)
    if (pictures[i].width != images.width() || pictures[i].height != images.height())
      throw Error(fmt::format("picture {} has {}x{} pixels; expected {}x{}, as the data set has", i,
                              pictures[i].width, pictures[i].height, images.width(),
                              images.height()));
}

}  // namespace

NearestImages find_nearest(std::span<const Image> pictures, const Dataset& images,
                           const NearestOptions& options,
                           const std::function<void(int64_t done, int64_t total)>& on_image) {
  require_fit(pictures, images);
  if (pictures.empty()) return {};
  const std::vector<Query> queries(pictures.begin(), pictures.end());
  const int64_t count = limited_size(images, options.limit);
  std::vector<Searcher> searchers(static_cast<size_t>(options.threads),
                                  Searcher(images, queries, options.count));
  std::mutex mutex;  // guards `searched` and on_image
  int64_t searched = 0;
  ThreadTeam(options.threads).for_each(count, [&](int rank, int64_t index) {
    if (options.cancel.asked()) return;
    Searcher& searcher = searchers[static_cast<size_t>(rank)];
    try {
      searcher.read(index);
    } catch (const Error& error) {
      if (!options.on_bad) throw;
      const std::lock_guard lock(mutex);
      return options.on_bad(error.what());
    }
    searcher.compare(index);
    const std::lock_guard lock(mutex);
    ++searched;
    if (on_image) on_image(searched, count);
  });

  NearestImages nearest{{}, searched};
  const double dims = static_cast<double>(queries.front().as_it_is.pixels.size());
  for (size_t i = 0; i < queries.size(); ++i) {
    BestOfQuery best{Best(options.count), Best(options.count)};
    for (const Searcher& searcher : searchers) {
      best.in_pixels.add(searcher.best()[i].in_pixels);
      best.in_means.add(searcher.best()[i].in_means);
    }
    nearest.of_pictures.push_back(
        {best.in_pixels.neighbours(dims), best.in_means.neighbours(dims * kBlock * kBlock)});
  }
  return nearest;
}

}  // namespace combiner
