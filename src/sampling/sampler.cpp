#include "sampling/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <limits>
#include <mutex>
#include <optional>
#include <vector>

#include "error.h"
#include "sampling/decoder.h"
#include "tensor/random.h"
#include "tensor/thread_team.h"

namespace combiner {
namespace {

void check(const ModelConfig& config, const SampleOptions& options) {
  validate(options.choice);
  const auto require_in = [](const char* name, int64_t value, int64_t low, int64_t high) {
    if (value < low || value > high)
      throw Error(fmt::format("{} is {}; expected {} to {}", name, value, low, high));
  };
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  require_in("the number of images", options.count, 1, kMost);
  require_in("the first image's index", options.first_index, 0, kMost - options.count);
  require_in("the batch", options.batch, 1, std::numeric_limits<int>::max());
  require_in("the number of threads", options.threads, 1, std::numeric_limits<int>::max());
  if (config.image.channels != 3)
    throw Error(fmt::format("the model's images have {} channels; only images of 3 can be sampled",
                            config.image.channels));
}

// Cuts `count` images into batches of nearly one size, so many that every thread gets as many.
class Batches {
 public:
  explicit Batches(const SampleOptions& options) : count_(options.count) {
    const int64_t rounds = ceil_div(ceil_div(count_, options.batch), options.threads);
    number_ = rounds > count_ / options.threads ? count_ : rounds * options.threads;
  }

  int64_t number() const { return number_; }
  int64_t largest() const { return ceil_div(count_, number_); }
  int64_t first(int64_t batch) const {
    return count_ / number_ * batch + std::min(count_ % number_, batch);
  }

 private:
  static int64_t ceil_div(int64_t a, int64_t b) { return a / b + (a % b != 0); }

  int64_t count_;
  int64_t number_;
};

// What the threads have in common.
struct Job {
  const SampleOptions& options;
  const SampleEvents& events;
  std::mutex events_mutex = {};
  std::atomic<bool> stop = false;
};

// Draws batches of images on one thread.
template <class T>
class BatchSampler {
 public:
  BatchSampler(const ModelConfig& config, const ModelWeights<PanelWeights>& weights, int64_t batch,
               Job& job)
      : config_(config), job_(job), decoder_(config, weights, batch) {
    for (int64_t i = 0; i < batch; ++i) states_.emplace_back(config);
  }

  // Images first .. first + count - 1 of the seed. Returns early once the job is to stop.
  void draw(int64_t first, int64_t count) {
    const std::span<DecodeState<T>> states(states_.data(), static_cast<size_t>(count));
    for (DecodeState<T>& state : states) state.position = 0;
    const SampleOptions& options = job_.options;
    const auto choose = [&](size_t image, int64_t subpixel, std::span<const float> logits) {
      const double uniform = counter_uniform(options.seed, static_cast<uint64_t>(first) + image,
                                             static_cast<uint64_t>(subpixel));
      return choose_value(logits, options.choice, uniform);
    };
    for (int row = 0; row < config_.rows(); ++row) {
      for (int column = 0; column < config_.columns(); ++column) {
        if (job_.events.cancelled && job_.events.cancelled()) job_.stop = true;
        if (job_.stop) return;
        decoder_.step(states, choose);
      }
      report_row(first, states, row);
    }
    report_images(first, states);
  }

 private:
  void report_row(int64_t first, std::span<const DecodeState<T>> states, int row) {
    if (!job_.events.row_done) return;
    const auto bytes = static_cast<size_t>(config_.image.width * config_.image.channels);
    const std::lock_guard lock(job_.events_mutex);
    for (const DecodeState<T>& state : states)
      job_.events.row_done(first++, row,
                           state.pixels.span().subspan(static_cast<size_t>(row) * bytes, bytes));
  }

  void report_images(int64_t first, std::span<const DecodeState<T>> states) {
    if (!job_.events.image_done) return;
    const std::lock_guard lock(job_.events_mutex);
    for (const DecodeState<T>& state : states)
      job_.events.image_done(
          first++,
          {config_.image.width, config_.image.height, {state.pixels.begin(), state.pixels.end()}});
  }

  const ModelConfig& config_;
  Job& job_;
  Decoder<T> decoder_;
  std::vector<DecodeState<T>> states_;
};

template <class T>
bool sample_as(const Weights& weights, const SampleOptions& options, const SampleEvents& events) {
  const ModelWeights<PanelWeights> panels = pack_panels(weights, options.precision);
  const Batches batches(options);
  Job job{options, events};
  ThreadTeam team(static_cast<int>(std::min<int64_t>(options.threads, batches.number())));
  std::vector<std::optional<BatchSampler<T>>> samplers(static_cast<size_t>(team.size()));
  team.for_each(batches.number(), [&](int rank, int64_t batch) {
    if (job.stop) return;
    std::optional<BatchSampler<T>>& sampler = samplers[static_cast<size_t>(rank)];
    try {
      if (!sampler) sampler.emplace(weights.config, panels, batches.largest(), job);
      sampler->draw(options.first_index + batches.first(batch),
                    batches.first(batch + 1) - batches.first(batch));
    } catch (...) {
      job.stop = true;  // for the other threads
      throw;
    }
  });
  return !job.stop;
}

}  // namespace

bool sample(const Weights& weights, const SampleOptions& options, const SampleEvents& events) {
  check(weights.config, options);
  return options.precision == Precision::bf16 ? sample_as<bfloat16>(weights, options, events)
                                              : sample_as<float>(weights, options, events);
}

}  // namespace combiner
