// A whole training run: steps until the budget is spent, with validation, checkpoints and a log.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>

#include "model/model.h"
#include "training/trainer.h"

namespace combiner {

struct RunOptions {
  // The budget, one of the two; both count from the very start, so a resumed run ends where an
  // uninterrupted one would.
  std::optional<int64_t> steps;
  std::optional<double> minutes;

  std::filesystem::path weights;     // where the averaged weights go, as BF16
  std::filesystem::path checkpoint;  // and all that resuming needs
  std::filesystem::path log;         // CSV, a row for each step
  double checkpoint_minutes = 5;     // from one to the next; 0: after each step
  double validation_minutes = 10;    // likewise
};

// Throws Error if there isn't one budget, or a number is impossible, naming it.
void validate(const RunOptions& options);

// The part of the budget that is spent, above 1 if it is overdrawn.
double fraction_done(const RunOptions& options, int64_t steps, double seconds);

// The state of a run after a step.
struct RunReport {
  StepReport step;
  double seconds = 0;  // since the very start, pauses left out
  double images_per_second = 0;
  double fraction_done = 0;          // at most 1
  std::optional<double> validation;  // bits/dim, if it was measured after this step
};

struct RunHooks {
  // Bits/dim of weights on the validation images, or nothing if there are none or it is
  // interrupted. Called every validation_minutes and after the last step.
  std::function<std::optional<double>(const Weights&)> validate;
  // After each step; returns whether to go on.
  std::function<bool(const RunReport&)> on_step;
};

enum class RunEnd { finished, interrupted };

// Trains from the trainer's state, `seconds` being what it took so far. Writes the checkpoint at
// the start, every checkpoint_minutes and at the end, and the weights likewise but for the start,
// each whole or not at all. The log goes on after its row of the trainer's step; rows of later
// steps, of a run that was lost, are dropped.
//
// Throws Error if the budget is spent already, if a file can't be written (found out at the start,
// as far as that can be) or if a step or a validation fails; then the checkpoint is the last one
// written, and the message names it.
RunEnd run_training(Trainer& trainer, double seconds, const RunOptions& options,
                    const RunHooks& hooks);

}  // namespace combiner
