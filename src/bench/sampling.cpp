#include <atomic>
#include <chrono>

#include "base/peak_memory.h"
#include "bench/speed.h"
#include "combiner/sampler.h"
#include "sampling/memory.h"

namespace combiner {
namespace {

using Clock = std::chrono::steady_clock;

// Touches all memory that drawing needs.
void warm_up(Sampler& sampler, const Effort& effort) { sampler.draw({.cancel = effort.cancel}); }

}  // namespace

std::optional<SamplingSpeed> measure_sampling(const Weights& weights, Precision precision,
                                              int64_t batch, const Effort& effort) {
  SampleOptions options;
  options.count = batch;
  options.batch = static_cast<int>(batch);
  options.threads = effort.threads;

  const Model model(weights.clone(), precision, effort.threads);
  const PeakMemory memory;
  Sampler sampler(model, options);
  warm_up(sampler, effort);
  double steps_per_image = 0;
  const std::optional<Rate> images = repeat(effort, [&]() -> std::optional<double> {
    // This is called once per position of a batch, whether one thread or a team decodes the batch.
    std::atomic<int64_t> steps = 0;
    Clock::time_point start, end;
    SampleEvents events;
    events.cancel = Cancel([&] {
      if (steps++ == 0) start = Clock::now();
      return effort.cancel.asked();
    });
    events.image_done = [&](int64_t, Image) { end = Clock::now(); };
    if (!sampler.draw(events)) return std::nullopt;
    steps_per_image = static_cast<double>(steps) / static_cast<double>(batch);
    return static_cast<double>(batch) / std::chrono::duration<double>(end - start).count();
  });
  if (!images) return std::nullopt;

  const SamplingMemory bytes = sampling_memory(weights, precision);
  const double bytes_per_step =
      static_cast<double>(bytes.weights - bytes.summary_weights) +
      static_cast<double>(bytes.summary_weights) / static_cast<double>(weights.config.columns());
  SamplingSpeed speed{{*images, memory.bytes()}};
  speed.weight_bytes = bytes.weights;
  speed.state_bytes = batch * bytes.state;
  speed.weight_bytes_per_second = images->median * steps_per_image * bytes_per_step;
  return speed;
}

}  // namespace combiner
