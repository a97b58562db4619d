#include <atomic>
#include <chrono>

#include "bench/speed.h"
#include "sampling/memory.h"
#include "sampling/sampler.h"
#include "tensor/peak_memory.h"

namespace combiner {
namespace {

using Clock = std::chrono::steady_clock;

// Draws nothing but the first row of images, which touches all that the rest needs.
void warm_up(const Weights& weights, const SampleOptions& options, const Effort& effort) {
  std::atomic<bool> enough = false;
  SampleEvents events;
  events.row_done = [&](int64_t, int, std::span<const uint8_t>) { enough = true; };
  events.cancelled = [&] { return enough || effort.cancelled(); };
  sample(weights, options, events);
}

}  // namespace

std::optional<SamplingSpeed> measure_sampling(const Weights& weights, Precision precision,
                                              int64_t batch, const Effort& effort) {
  SampleOptions options;
  options.count = batch;
  options.batch = static_cast<int>(batch);
  options.precision = precision;
  options.threads = effort.threads;

  const PeakMemory memory;
  warm_up(weights, options, effort);
  double steps_an_image = 0;
  const std::optional<Rate> images = repeat(effort, [&]() -> std::optional<double> {
    // Whoever decodes a position of some images, a thread or several together, asks once.
    std::atomic<int64_t> steps = 0;
    Clock::time_point start, end;
    SampleEvents events;
    events.cancelled = [&] {
      if (steps++ == 0) start = Clock::now();
      return effort.cancelled();
    };
    events.image_done = [&](int64_t, Image) { end = Clock::now(); };
    if (!sample(weights, options, events)) return std::nullopt;
    steps_an_image = static_cast<double>(steps) / static_cast<double>(batch);
    return static_cast<double>(batch) / std::chrono::duration<double>(end - start).count();
  });
  if (!images) return std::nullopt;

  const SamplingMemory bytes = sampling_memory(weights, precision);
  const double read_a_step =
      static_cast<double>(bytes.weights - bytes.summary_weights) +
      static_cast<double>(bytes.summary_weights) / static_cast<double>(weights.config.columns());
  SamplingSpeed speed{{*images, memory.bytes()}};
  speed.weight_bytes = bytes.weights;
  speed.state_bytes = batch * bytes.state;
  speed.weight_bytes_per_second = images->median * steps_an_image * read_a_step;
  return speed;
}

}  // namespace combiner
