#include "training/run.h"

#include <algorithm>
#include <chrono>

#include "model/weights_file.h"
#include "training/log.h"

namespace combiner {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// True once in every `minutes`.
class Interval {
 public:
  explicit Interval(double minutes) : minutes_(minutes) {}
  bool passed() {
    if (seconds_since(last_) < minutes_ * 60.0) return false;
    last_ = Clock::now();
    return true;
  }

 private:
  double minutes_;
  Clock::time_point last_ = Clock::now();
};

// The rate over the last steps, forgetting those of some seconds ago.
class Rate {
 public:
  double add(double images, double seconds) {
    constexpr double kMemory = 0.95;
    images_ = images_ * kMemory + images;
    seconds_ = seconds_ * kMemory + seconds;
    return images_ / std::max(seconds_, 1e-9);
  }

 private:
  double images_ = 0;
  double seconds_ = 0;
};

}  // namespace

RunEnd run_training(Trainer& trainer, double seconds, const RunOptions& options,
                    const RunHooks& hooks) {
  TrainingLog log(options.log, trainer.steps());
  const Clock::time_point start = Clock::now();
  const auto elapsed = [&] { return seconds + seconds_since(start); };
  const auto fraction_done = [&] {
    return options.steps
               ? static_cast<double>(trainer.steps()) / static_cast<double>(*options.steps)
               : elapsed() / (*options.minutes * 60.0);
  };
  const auto save = [&] {
    trainer.save(options.checkpoint, elapsed());
    save_weights(trainer.average(), DType::bf16, options.weights);
  };

  Interval checkpoint_due(options.checkpoint_minutes);
  Interval validation_due(options.validation_minutes);
  Rate rate;
  bool go_on = true;
  while (go_on && fraction_done() < 1.0) {
    RunReport report;
    const Clock::time_point step_start = Clock::now();
    report.step = trainer.step(fraction_done());
    report.images_per_second =
        rate.add(static_cast<double>(trainer.options().batch), seconds_since(step_start));
    if (validation_due.passed() || fraction_done() >= 1.0)
      report.validation = hooks.validate(trainer.average());
    report.seconds = elapsed();
    report.fraction_done = std::min(1.0, fraction_done());
    log.write(report);
    go_on = hooks.on_step(report);
    if (checkpoint_due.passed()) save();
  }
  save();
  return go_on ? RunEnd::finished : RunEnd::interrupted;
}

}  // namespace combiner
