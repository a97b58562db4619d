// What determines the course of training, apart from its length.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "training/optimizer.h"

namespace combiner {

struct TrainingOptions {
  OptimizerOptions optimizer;
  int64_t batch = 4;  // images a step
  double learning_rate = 2e-3;
  int64_t warmup_steps = 100;
  double decay_fraction = 0.2;   // of the whole training, at its end, in which the rate falls to 0
  double clip_norm = 1.0;        // the gradient's greatest global norm
  double average_decay = 0.999;  // of the moving average of the weights
  bool flips = true;
  uint64_t seed = 1;
};

// Throws Error if a number is impossible, naming it, its value and what would do. `source` says in
// messages where the options come from.
void validate(const TrainingOptions& options, std::string_view source);

std::string to_json(const TrainingOptions& options);
// Throws Error on anything but what to_json writes of valid options.
TrainingOptions parse_training_options(std::string_view json, std::string_view source);

// The learning rate of a step, counted from 0: up from 0 over the warm-up, constant, down to 0 over
// the last part. `fraction_done` is of the whole training, 0 to 1.
double learning_rate(const TrainingOptions& options, int64_t step, double fraction_done);

}  // namespace combiner
