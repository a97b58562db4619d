// Training, one step at a time.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/thread_team.h"
#include "cluster/cluster.h"
#include "combiner/cancel.h"
#include "combiner/dataset.h"
#include "model/model.h"
#include "training/data_order.h"
#include "training/gradient.h"
#include "training/gradient_sum.h"
#include "training/optimizer.h"
#include "training/options.h"

namespace combiner {

struct StepReport {
  int64_t step = 0;    // steps made, including this one
  int64_t images = 0;  // seen so far
  double bits_per_dim = 0;
  double learning_rate = 0;
  double gradient_norm = 0;  // before clipping
};

class Trainer {
 public:
  // Starts from newly initialised weights and trains on all of `data`. Throws Error if `data` is
  // empty, if its images are not the model's size, or if an option is invalid (such as the
  // precision int8).
  //
  // On a cluster, all ranks make one with the same arguments, and call step() together. Each reads
  // its part of the images; the trainers then stay the same, bit for bit. Throws Error if the ranks
  // can't have equal parts of a batch, or if they were not given the same.
  Trainer(const ModelConfig& config, const TrainingOptions& options,
          std::shared_ptr<const Dataset> data, Precision precision, int threads, Cancel cancel = {},
          Cluster& cluster = single_process());
  // The same, but starts from these weights.
  Trainer(Weights first, const TrainingOptions& options, std::shared_ptr<const Dataset> data,
          Precision precision, int threads, Cancel cancel = {},
          Cluster& cluster = single_process());

  // One step on the next `batch` images. The order in which gradients are summed depends on the
  // number of threads and of ranks, and on nothing else. Throws NotFinite if the loss, the gradient
  // or the new weights are not finite; the trainer can then no longer be used. Throws Error if an
  // image can't be read, and Cancelled soon after it is asked to end, unless it is about to finish;
  // the trainer is then as it was before the step. On a cluster, all ranks throw
  // (sum_unless_failed).
  StepReport step(double fraction_done);
  // Whether the weights are those of finished steps. If an update fails, such as for lack of
  // memory, a part of it remains, and the trainer can no longer be used.
  bool is_whole() const { return whole_; }

  Cluster& cluster() const { return cluster_; }
  const ModelConfig& config() const { return weights_.config; }
  const TrainingOptions& options() const { return options_; }
  int64_t steps() const { return optimizer_.state().steps; }  // made so far
  int64_t images() const { return images_; }                  // seen so far
  const Weights& weights() const { return weights_; }
  // The moving average of the weights, which is the trained model.
  const Weights& average() const { return average_; }

  // A checksum of everything that later steps depend on, and how far it is, as text.
  std::string state() const;
  // Saves everything that later steps depend on, and `seconds`, the time spent so far. Writes the
  // file completely or not at all. Throws Error if it cannot be written.
  void save(const std::filesystem::path& path, double seconds) const;
  // Restores a checkpoint and returns the seconds saved in it. This trainer must have been made
  // with the checkpoint's config, the same images and the same options, of which all but the kind
  // of optimiser may have been changed on purpose. With the same precision and number of threads,
  // later steps are bit-identical to those of the saved trainer. More or fewer images are accepted;
  // as many others are not, if the checkpoint tells. Throws Error if the file is malformed, damaged
  // or does not fit. Throws Cancelled soon after it is asked to end; what is restored is then open.
  double restore(const std::filesystem::path& path);

 private:
  template <class T>
  double own_gradient(std::vector<GradientPass<T>>& passes);
  double gradient();
  // Calls visit(name, values) for each tensor of a checkpoint.
  template <class AnyTrainer, class Visit>
  static void for_each_tensor(AnyTrainer& trainer, const Visit& visit);
  // Calls work(offset, count) for chunks of the flat buffers, divided among the threads and small
  // enough to stay in cache. Returns the sum of the results, added in order.
  double sum_over_chunks(const std::function<double(size_t offset, size_t count)>& work);

  TrainingOptions options_;
  Precision precision_;
  std::shared_ptr<const Dataset> data_;
  Cancel cancel_;
  Cluster& cluster_;
  bool whole_ = true;
  std::string data_sample_;  // see data_sample()
  ThreadTeam team_;
  Weights weights_, average_;
  PackedParameters packed_;
  ModelWeights model_weights_;
  // One for each thread that has images. The gradients are summed into the first.
  std::variant<std::vector<GradientPass<float>>, std::vector<GradientPass<bfloat16>>> passes_;
  std::vector<Buffer<float>> gradients_;
  std::optional<GradientSum> gradient_sum_;
  Optimizer optimizer_;
  DataOrder order_;
  int64_t images_ = 0;
};

}  // namespace combiner
