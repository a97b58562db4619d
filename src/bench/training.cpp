#include <memory>

#include "base/peak_memory.h"
#include "bench/random_images.h"
#include "bench/speed.h"
#include "training/trainer.h"

namespace combiner {

std::optional<Speed> measure_training(const ModelConfig& config, Precision precision, int64_t batch,
                                      const Effort& effort) {
  constexpr int64_t kImages = 1024;
  const auto images = std::make_shared<const RandomImages>(config, kImages);
  TrainingOptions options;
  options.batch = batch;
  const PeakMemory memory;
  Trainer trainer(config, options, images, precision, effort.threads);
  std::optional<Rate> steps = repeat_short(effort, [&](int64_t times) -> std::optional<double> {
    bool stopped = false;
    const double seconds = seconds_of([&] {
      for (int64_t i = 0; i < times && !stopped; ++i) {
        stopped = effort.cancel.asked();
        if (!stopped) trainer.step(0);
      }
    });
    if (stopped) return std::nullopt;
    return seconds;
  });
  if (!steps) return std::nullopt;
  steps->median *= static_cast<double>(batch);
  return Speed{*steps, memory.bytes()};
}

}  // namespace combiner
