// Training, a step at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <variant>
#include <vector>

#include "base/thread_team.h"
#include "combiner/dataset.h"
#include "model/model.h"
#include "training/data_order.h"
#include "training/gradient.h"
#include "training/optimizer.h"
#include "training/options.h"

namespace combiner {

struct StepReport {
  int64_t step = 0;    // steps made, this one included
  int64_t images = 0;  // seen so far
  double bits_per_dim = 0;
  double learning_rate = 0;
  double gradient_norm = 0;  // before clipping
};

class Trainer {
 public:
  // Starts from freshly initialised weights. `data` is what is trained on, all of it. Throws Error
  // if it is empty or its images are not the model's size, or an option is impossible (the
  // precision int8, for one).
  Trainer(const ModelConfig& config, const TrainingOptions& options,
          std::shared_ptr<const Dataset> data, Precision precision, int threads);

  // One step on the next `batch` images. The gradient is summed in an order that depends on the
  // number of threads, but on nothing else. Throws Error when the loss, the gradient or the new
  // weights are not finite; then the trainer is of no more use.
  StepReport step(double fraction_done);

  const ModelConfig& config() const { return weights_.config; }
  const TrainingOptions& options() const { return options_; }
  int64_t steps() const { return optimizer_.state().steps; }  // made so far
  int64_t images() const { return images_; }                  // seen so far
  const Weights& weights() const { return weights_; }
  // The moving average: the weights to use.
  const Weights& average() const { return average_; }

  // Everything that later steps depend on, and `seconds`, the time spent so far. Whole or not at
  // all; throws Error if it can't be written.
  void save(const std::filesystem::path& path, double seconds) const;
  // Into a trainer made with the checkpoint's config, its options (or some changed on purpose, but
  // not the kind of optimiser) and as many images, and returns the seconds. Later steps are bit for
  // bit those of the trainer that was saved, if precision and threads are the same too. Throws
  // Error if the file is malformed or not of such a trainer.
  double restore(const std::filesystem::path& path);

 private:
  template <class T>
  double gradient(std::vector<GradientPass<T>>& passes);
  // Calls work(offset, count) for parts of the flat buffers, shared out among the threads and so
  // small that they stay in cache. Returns the sum of the results, added up in order.
  double sum_over_chunks(const std::function<double(size_t offset, size_t count)>& work);

  TrainingOptions options_;
  std::shared_ptr<const Dataset> data_;
  ThreadTeam team_;
  Weights weights_, average_;
  PackedParameters packed_;
  ModelWeights model_weights_;
  // For each thread that has images; gradients are summed into the first.
  std::variant<std::vector<GradientPass<float>>, std::vector<GradientPass<bfloat16>>> passes_;
  std::vector<Buffer<float>> gradients_;
  Optimizer optimizer_;
  DataOrder order_;
  int64_t images_ = 0;
};

}  // namespace combiner
