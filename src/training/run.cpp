#include "training/run.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <new>
#include <optional>
#include <string>
#include <system_error>

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

class Run {
 public:
  // As run_training's.
  Run(Trainer& trainer, double seconds, const RunOptions& options, const RunHooks& hooks,
      FileLock& lock)
      : trainer_(trainer),
        cluster_(trainer.cluster()),
        writes_(cluster_.rank() == 0),
        options_(options),
        hooks_(hooks),
        lock_(lock),
        seconds_before_(seconds),
        first_step_(trainer.steps()),
        saved_step_(first_step_),
        checkpoint_due_(options.checkpoint_minutes),
        validation_due_(options.validation_minutes) {}

  RunEnd run() {
    done_ = from_rank_0(cluster_, fraction_done(options_, first_step_, seconds_before_));
    if (first_step_ == 0) {
      done_ = 0;  // time without a step is no training
    } else if (done_ >= 1.0) {
      if (writes_ && weights_at(options_.weights) != WeightsThere::yes) save_average();
      return RunEnd::over;
    }
    begin_files();
    try {
      make_all_steps();
      save();
      cluster_.barrier();
    } catch (const FileReplaced& error) {
      throw Error(fmt::format("{}; {}", error.what(), set_aside()));
    } catch (const Error& error) {
      throw Error(fmt::format("{}\nThe last checkpoint, {}, is of step {}.", error.what(),
                              options_.checkpoint.string(), saved_step_));
    }
    return done_ >= 1.0 ? RunEnd::finished : RunEnd::interrupted;
  }

 private:
  double elapsed() const { return seconds_before_ + seconds_since(start_); }

  void begin_files() {
    if (writes_) {
      // Opened and discarded, to check that all files can be written before any is overwritten.
      for (const std::filesystem::path& path : {options_.weights, options_.checkpoint})
        OutputFile{path};
      log_.emplace(options_.log, first_step_);
    }
    save_checkpoint();
    if (log_) log_->begin();
  }

  // Steps until the budget is spent or the run is to end. If that fails, the steps made are saved.
  void make_all_steps() {
    try {
      errors_of_memory_too([&] {
        while (goes_on_ && done_ < 1.0) make_step();
      });
    } catch (const Cancelled&) {
      goes_on_ = false;  // nothing is left of the step
    } catch (const NotFinite&) {
      throw;  // nor of the weights
    } catch (const FileReplaced&) {
      throw;  // it can't be saved there
    } catch (const Error& error) {
      if (trainer_.is_whole() && trainer_.steps() > saved_step_) save();
      // A rank that throws ends the others: let rank 0 save first.
      if (dynamic_cast<const SharedError*>(&error)) cluster_.barrier();
      throw;
    }
  }

  void make_step() {
    RunReport report;
    const Clock::time_point step_start = Clock::now();
    report.step = trainer_.step(done_);
    report.images_per_second =
        rate_.add(static_cast<double>(trainer_.options().batch), seconds_since(step_start));
    const ByClock now =
        from_rank_0(cluster_, ByClock{fraction_done(options_, trainer_.steps(), elapsed()),
                                      validation_due_.passed(), checkpoint_due_.passed()});
    done_ = now.done;
    report.fraction_done = std::min(1.0, done_);
    try {
      if (now.validation_due || done_ >= 1.0) {
        report.validation = hooks_.validate(trainer_.average());
        validation_due_ = Interval(options_.validation_minutes);  // which may be shorter than it
      }
    } catch (...) {
      write_log(report);  // the step itself was made
      throw;
    }
    write_log(report);
    goes_on_ = on_all(cluster_, hooks_.on_step(report));
    if (goes_on_ && done_ < 1.0 && now.checkpoint_due) save();
  }

  void write_log(RunReport& report) {
    report.seconds = elapsed();
    if (log_) log_->write(report);
  }

  // The weights come first: a checkpoint at the end of the budget must not exist without them.
  void save() {
    if (writes_) lock_.require_same(options_.checkpoint);  // the weights belong to it
    // A run without a step has no weights that are worth more than those that may be there.
    if (writes_ && trainer_.steps() > first_step_) save_average();
    save_checkpoint();
  }

  void save_average() const { save_weights(trainer_.average(), DType::bf16, options_.weights); }

  void save_checkpoint() {
    if (writes_) {
      lock_.require_same(options_.checkpoint);
      trainer_.save(options_.checkpoint, elapsed());
      lock_.take(options_.checkpoint);
    }
    saved_step_ = trainer_.steps();
  }

  // Saves what is done under a name of its own, since another run has taken the checkpoint's.
  // Returns what to say of it.
  std::string set_aside() const {
    const auto name = [&](int number) {
      return std::filesystem::path(options_.checkpoint)
          .replace_extension(fmt::format(".step-{}{}{}", trainer_.steps(),
                                         number > 1 ? fmt::format("-{}", number) : "",
                                         options_.checkpoint.extension().string()));
    };
    int number = 1;
    std::error_code ignored;  // a file that can't be examined can't be written either
    while (std::filesystem::exists(name(number), ignored)) ++number;
    try {
      if (!trainer_.is_whole()) throw Error("its last step was not finished");
      trainer_.save(name(number), elapsed());
      return fmt::format("what this run has done is in {}, to go on from with --resume",
                         name(number).string());
    } catch (const Error& error) {
      return fmt::format("what this run has done is lost: {}", error.what());
    }
  }

  Trainer& trainer_;
  Cluster& cluster_;
  const bool writes_;  // this rank writes the files
  const RunOptions& options_;
  const RunHooks& hooks_;
  FileLock& lock_;
  const double seconds_before_;
  const Clock::time_point start_ = Clock::now();
  const int64_t first_step_;
  int64_t saved_step_;
  std::optional<TrainingLog> log_;
  Interval checkpoint_due_, validation_due_;
  Rate rate_;
  double done_ = 0;
  bool goes_on_ = true;
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
  if (trainer.cluster().size() > 1)
    check_same(trainer.cluster(), "the state to begin with", trainer.state());
  return Run(trainer, seconds, options, hooks, lock).run();
}

}  // namespace combiner
