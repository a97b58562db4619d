// A whole training run: steps until the budget is spent, with validation, checkpoints and a log.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>

#include "base/file_lock.h"
#include "model/model.h"
#include "training/trainer.h"

namespace combiner {

struct RunOptions {
  // The budget: exactly one of the two. Both count from the very start, so a resumed run ends where
  // an uninterrupted one would.
  std::optional<int64_t> steps;
  std::optional<double> minutes;

  std::filesystem::path weights;     // destination of the averaged weights, as BF16
  std::filesystem::path checkpoint;  // destination of everything that resuming needs
  std::filesystem::path log;         // CSV, one row per step
  double checkpoint_minutes = 5;     // the interval; 0 means after each step
  double validation_minutes = 10;    // the same
};

// Throws Error if there is not exactly one budget or a number is out of range. The message names
// it.
void validate(const RunOptions& options);

// The fraction of the budget that is spent; above 1 if it is exceeded.
double fraction_done(const RunOptions& options, int64_t steps, double seconds);

// The state of a run after a step.
struct RunReport {
  StepReport step;
  double seconds = 0;  // of all runs; a process that is stopped (SIGSTOP) still counts
  double images_per_second = 0;
  double fraction_done = 0;          // at most 1
  std::optional<double> validation;  // bits/dim, if measured after this step
};

struct RunHooks {
  // Returns the bits/dim of the weights on the validation images, or nullopt if there are none or
  // if it was interrupted. Called every validation_minutes and after the last step.
  std::function<std::optional<double>(const Weights&)> validate;
  // Called after each step; returns whether to continue. A step that is cancelled (see Trainer)
  // ends the run in the same way, after the step before it.
  std::function<bool(const RunReport&)> on_step;
};

enum class RunEnd { finished, interrupted, over };

// Trains from the trainer's state, which took `seconds` to reach. Writes the checkpoint at the
// start, every checkpoint_minutes and at the end, and the weights at the same times once it has
// made a step. A file is written completely or not at all. The log continues after the row of the
// trainer's step; rows of later steps, from a run that was lost, are dropped.
//
// If the budget is already spent and a step made, the training is over: only the weights are
// written, and only if they are not there or damaged.
//
// `lock` is that of the checkpoint, taken before it was read, so that no run loses what another has
// written since.
//
// On a cluster, all ranks of the trainer call this. Rank 0 writes the files, its clock counts, and
// only its options' paths matter. All ranks return or throw when it has saved what is done; an
// error of one rank alone, such as of writing a file, is thrown there only.
//
// Throws Error if a file cannot be written (detected at the start as far as possible), if the
// ranks' trainers differ, or if a step or a validation fails. What is done is saved first, unless
// the weights are of no use (NotFinite, Trainer::is_whole). The message names the last checkpoint.
// If something else has replaced the checkpoint, what is done goes to a file beside it.
RunEnd run_training(Trainer& trainer, double seconds, const RunOptions& options,
                    const RunHooks& hooks, FileLock& lock);

}  // namespace combiner
