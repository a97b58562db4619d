// The options that determine the course of training, apart from its length.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "training/optimizer.h"

namespace combiner {

inline constexpr int64_t kMostImagesPerStep = 65536;

struct TrainingOptions {
  OptimizerOptions optimizer;
  int64_t batch = 4;  // images per step
  double learning_rate = 2e-3;
  int64_t warmup_steps = 100;
  double decay_fraction = 0.2;   // the final part of training, over which the rate falls to 0
  double clip_norm = 1.0;        // the maximum global norm of the gradient
  double average_decay = 0.999;  // of the moving average of the weights
  bool flips = true;
  uint64_t seed = 1;
  // Of the draw of the images held out for validation; it stays when a run is resumed with
  // another seed. Without it, as in checkpoints from before there was a draw, they are the last.
  std::optional<uint64_t> hold_out_seed;
};

// "muon" or "adamw".
std::string_view name(OptimizerKind kind);
std::optional<OptimizerKind> optimizer_named(std::string_view name);

// Throws Error if a number is out of range. The message gives its name, its value and what is
// accepted, and begins with `source`, the origin of the options.
void validate(const TrainingOptions& options, std::string_view source);

std::string to_json(const TrainingOptions& options);
// Throws Error on anything but the to_json of valid options.
TrainingOptions parse_training_options(std::string_view json, std::string_view source);

// The learning rate of a step, counted from 0. It rises from 0 over the warm-up, stays constant,
// then falls to 0 over the last part. `fraction_done`, from 0 to 1, refers to the whole training.
double learning_rate(const TrainingOptions& options, int64_t step, double fraction_done);

}  // namespace combiner
