// A whole training run: steps until the budget is spent, with validation, checkpoints and a log.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <optional>

#include "dataset/dataset.h"
#include "training/trainer.h"

namespace combiner {

struct RunOptions {
  // One of the two; both count from the very start, so a resumed run ends where an uninterrupted
  // one would.
  std::optional<int64_t> steps;
  std::optional<double> minutes;

  std::filesystem::path weights;     // where the averaged weights go, as BF16
  std::filesystem::path checkpoint;  // and all that resuming needs
  std::filesystem::path log;         // CSV, a row for each step
  double checkpoint_minutes = 5;
  double validation_minutes = 10;
};

// The state of a run after a step, a validation or a checkpoint.
struct RunReport {
  StepReport step;
  double seconds = 0;  // since the very start, pauses left out
  double images_per_second = 0;
  double fraction_done = 0;
  std::optional<double> validation;  // bits/dim, if it was measured after this step
};

struct RunHooks {
  // Bits/dim of weights on the validation images, or nothing if interrupted.
  std::function<std::optional<double>(const Weights&)> validate;
  // After each step; returns whether to go on.
  std::function<bool(const RunReport&)> on_step;
};

enum class RunEnd { finished, interrupted };

// Trains from the trainer's state, `seconds` being what it took so far. At the end, and every
// checkpoint_minutes, writes the checkpoint and the weights, each whole or not at all. The log goes
// on after its row of the trainer's step; rows of later steps, of a run that was lost, are dropped.
RunEnd run_training(Trainer& trainer, double seconds, const RunOptions& options,
                    const RunHooks& hooks);

}  // namespace combiner
