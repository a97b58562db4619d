#include "training/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <new>
#include <optional>

#include "base/output_file.h"
#include "cluster/agree.h"
#include "combiner/error.h"
#include "training/log.h"
#include "weights/weights_file.h"

namespace combiner {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// True once every `minutes`.
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

// The rate over recent steps; steps of some seconds ago are gradually forgotten.
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

// Calls `work`. Lack of memory becomes an Error.
template <class Work>
void errors_of_memory_too(const Work& work) {
  try {
    work();
  } catch (const std::bad_alloc&) {
    throw Error("not enough memory");
  }
}

// What depends on the clock, so that one rank has to say it.
struct ByClock {
  double done;
  bool validation_due, checkpoint_due;
};

}  // namespace

void validate(const RunOptions& options) {
  // Every condition is false for a NaN.
  const auto require = [](bool good, std::string_view problem) {
    if (!good) throw Error(fmt::format("training run: {}", problem));
  };
  require(options.steps.has_value() != options.minutes.has_value(),
          "needs a number of steps or of minutes, and not both");
  require(!options.steps || *options.steps >= 1, "the steps must be 1 or more");
  require(!options.minutes || (*options.minutes > 0 && std::isfinite(*options.minutes)),
          "the minutes must be a finite number above 0");
  require(options.checkpoint_minutes >= 0 && options.validation_minutes >= 0,
          "the minutes between checkpoints and between validations must be 0 or more");
}

double fraction_done(const RunOptions& options, int64_t steps, double seconds) {
  return options.steps ? static_cast<double>(steps) / static_cast<double>(*options.steps)
                       : seconds / (*options.minutes * 60.0);
}

RunEnd run_training(Trainer& trainer, double seconds, const RunOptions& options,
                    const RunHooks& hooks, FileLock& lock) {
  validate(options);
  Cluster& cluster = trainer.cluster();
  if (cluster.size() > 1) check_same(cluster, "the state to begin with", trainer.state());
  const bool writes = cluster.rank() == 0;
  const Clock::time_point start = Clock::now();
  const auto elapsed = [&] { return seconds + seconds_since(start); };
  double done = from_rank_0(cluster, fraction_done(options, trainer.steps(), seconds));
  if (done >= 1.0) {
    if (writes && !std::filesystem::exists(options.weights))
      save_weights(trainer.average(), DType::bf16, options.weights);
    return RunEnd::over;
  }

  std::optional<TrainingLog> log;
  if (writes) {
    // Opened and discarded, to check that all files can be written before any is overwritten.
    for (const std::filesystem::path& path : {options.weights, options.checkpoint})
      OutputFile{path};
    log.emplace(options.log, trainer.steps());
  }
  int64_t saved_step = 0;
  const auto save_checkpoint = [&] {
    if (writes) {
      lock.require_same(options.checkpoint);
      trainer.save(options.checkpoint, elapsed());
      lock.take(options.checkpoint);
    }
    saved_step = trainer.steps();
  };
  // The weights come first: a checkpoint at the end of the budget must not exist without them.
  const auto save = [&] {
    if (writes) {
      lock.require_same(options.checkpoint);
      save_weights(trainer.average(), DType::bf16, options.weights);
    }
    save_checkpoint();
  };
  save_checkpoint();
  if (log) log->begin();

  Interval checkpoint_due(options.checkpoint_minutes);
  Interval validation_due(options.validation_minutes);
  Rate rate;
  bool go_on = true;
  const auto make_steps = [&] {
    while (go_on && done < 1.0) {
      RunReport report;
      const Clock::time_point step_start = Clock::now();
      report.step = trainer.step(done);
      report.images_per_second =
          rate.add(static_cast<double>(trainer.options().batch), seconds_since(step_start));
      const ByClock now =
          from_rank_0(cluster, ByClock{fraction_done(options, trainer.steps(), elapsed()),
                                       validation_due.passed(), checkpoint_due.passed()});
      done = now.done;
      report.fraction_done = std::min(1.0, done);
      const auto write_log = [&] {
        report.seconds = elapsed();
        if (log) log->write(report);
      };
      try {
        if (now.validation_due || done >= 1.0) {
          report.validation = hooks.validate(trainer.average());
          validation_due = Interval(options.validation_minutes);  // which may be shorter than it
        }
      } catch (...) {
        write_log();  // the step itself was made
        throw;
      }
      write_log();
      go_on = on_all(cluster, hooks.on_step(report));
      if (go_on && done < 1.0 && now.checkpoint_due) save();
    }
  };
  try {
    try {
      errors_of_memory_too(make_steps);
    } catch (const Cancelled&) {
      go_on = false;  // nothing is left of the step
    } catch (const NotFinite&) {
      throw;  // nor of the weights
    } catch (const FileReplaced&) {
      throw;  // it can't be saved
    } catch (const Error& error) {
      if (trainer.is_whole() && trainer.steps() > saved_step) save();
      // A rank that throws ends the others: let rank 0 save first.
      if (dynamic_cast<const SharedError*>(&error)) cluster.barrier();
      throw;
    }
    save();
    cluster.barrier();
  } catch (const FileReplaced& error) {
    throw Error(
        fmt::format("{}; what this run has done since step {} is lost", error.what(), saved_step));
  } catch (const Error& error) {
    throw Error(fmt::format("{}\nThe last checkpoint, {}, is of step {}.", error.what(),
                            options.checkpoint.string(), saved_step));
  }
  return done >= 1.0 ? RunEnd::finished : RunEnd::interrupted;
}

}  // namespace combiner
