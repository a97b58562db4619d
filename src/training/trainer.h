// Training, a step at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "dataset/dataset.h"
#include "model/model.h"
#include "tensor/thread_team.h"
#include "training/data_order.h"
#include "training/gradient.h"
#include "training/optimizer.h"

namespace combiner {

// What determines the course of training, apart from its length.
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

std::string to_json(const TrainingOptions& options);
// `source` names it in messages. Throws Error on anything but what to_json writes.
TrainingOptions parse_training_options(std::string_view json, std::string_view source);

// The learning rate: up from 0 over the warm-up, constant, down to 0 over the last part.
// `fraction_done` is of the whole training, 0 to 1.
double learning_rate(const TrainingOptions& options, int64_t step, double fraction_done);

struct StepReport {
  int64_t step = 0;    // steps made, this one included
  int64_t images = 0;  // seen so far
  double bits_per_dim = 0;
  double learning_rate = 0;
  double gradient_norm = 0;  // before clipping
};

class Trainer {
 public:
  // Starts from freshly initialised weights. `data` is what is trained on, all of it.
  Trainer(const ModelConfig& config, const TrainingOptions& options,
          std::shared_ptr<const Dataset> data, Precision precision, int threads);

  // One step on the next `batch` images. The gradient is summed in an order that depends on the
  // number of threads, but on nothing else. Throws Error, leaving the weights as they were, when
  // the loss or the gradient is not finite.
  StepReport step(double fraction_done);

  const ModelConfig& config() const { return weights_.config; }
  const TrainingOptions& options() const { return options_; }
  int64_t steps() const { return steps_; }
  int64_t images() const { return images_; }  // seen so far
  // The moving average: the weights to use.
  const Weights& average() const { return average_; }

  // Everything that later steps depend on, and `seconds`, the time spent so far. Whole or not at
  // all.
  void save(const std::filesystem::path& path, double seconds);
  // Into a trainer made with the checkpoint's config and options (or options changed on purpose).
  // Returns the seconds.
  double restore(const std::filesystem::path& path);

 private:
  template <class T>
  double gradient(std::vector<GradientPass<T>>& passes);
  void refresh_product_values();

  TrainingOptions options_;
  std::shared_ptr<const Dataset> data_;
  ThreadTeam team_;
  Weights weights_, average_;
  Buffer<bfloat16> product_values_;  // the weights as bfloat16 products read them
  std::variant<std::vector<GradientPass<float>>, std::vector<GradientPass<bfloat16>>>
      passes_;                            // per thread
  std::vector<Buffer<float>> gradients_;  // per thread; summed into the first
  Optimizer optimizer_;
  DataOrder order_;
  int64_t steps_ = 0;
  int64_t images_ = 0;
};

// What a checkpoint says of itself, to make the trainer it goes into.
struct CheckpointHeader {
  ModelConfig config;
  TrainingOptions options;
};
CheckpointHeader read_checkpoint_header(const std::filesystem::path& path);

}  // namespace combiner
