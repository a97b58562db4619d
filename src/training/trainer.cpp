#include "training/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <numbers>
#include <numeric>

#include "base/plural.h"
#include "base/round_up.h"
#include "base/share.h"
#include "cluster/agree.h"
#include "combiner/error.h"
#include "combiner/instruction_set.h"
#include "dataset/check_fit.h"
#include "image/mirror.h"
#include "kernels/descent.h"
#include "kernels/rows.h"
#include "training/data_sample.h"
#include "training/initialise.h"

namespace combiner {
namespace {

Precision trainable(Precision precision) {
  if (precision == Precision::int8)
    throw Error("int8 weights can't be trained; train in f32 or bf16 and quantize the result");
  return precision;
}

}  // namespace

Trainer::Trainer(const ModelConfig& config, const TrainingOptions& options,
                 std::shared_ptr<const Dataset> data, Precision precision, int threads,
                 Cancel cancel, Cluster& cluster)
    : Trainer(initial_weights(config, options.seed), options, std::move(data), precision, threads,
              std::move(cancel), cluster) {}

Trainer::Trainer(Weights first, const TrainingOptions& options, std::shared_ptr<const Dataset> data,
                 Precision precision, int threads, Cancel cancel, Cluster& cluster)
    : options_(options),
      precision_(precision),
      data_(std::move(data)),
      cancel_(std::move(cancel)),
      cluster_(cluster),
      team_(threads),
      weights_(std::move(first)),
      average_(weights_.clone()),
      packed_(weights_.parameters, weights_.values.data(), trainable(precision),
              PackedFor::training, team_),
      model_weights_(weights_.config, weights_.parameters, packed_, KeptSummaries::as_made),
      optimizer_(weights_.parameters, options.optimizer, product_type(precision), cluster),
      order_(options.seed, data_->size(), options.flips) {
  validate(options_, "training options");
  check_fit(weights_.config, *data_);
  if (options_.batch % cluster.size() != 0)
    throw Error(fmt::format(
        "the {} of a batch can't be divided equally among {}; give --batch a "
        "multiple of {}",
        plural(options_.batch, "image"), plural(cluster.size(), "rank"), cluster.size()));
  data_sample_ = data_sample(*data_);
  check_same(cluster, "the model", to_json(weights_.config));
  check_same(cluster, "the course of the training", to_json(options_));
  check_same(cluster, "the data set",
             fmt::format("{}, {}", plural(data_->size(), "image"), data_sample_));
  check_same(cluster, "what computes", kernels_in_use(precision));

  const int64_t own_images = options_.batch / cluster.size();
  const auto workers = static_cast<size_t>(std::min<int64_t>(team_.size(), own_images));
  const auto make_passes = [&]<class T>(std::vector<GradientPass<T>> passes) {
    passes.reserve(workers);
    while (passes.size() < workers) passes.emplace_back(weights_, model_weights_, cancel_);
    passes_ = std::move(passes);
  };
  if (precision == Precision::bf16)
    make_passes(std::vector<GradientPass<bfloat16>>());
  else
    make_passes(std::vector<GradientPass<float>>());
  while (gradients_.size() < workers) gradients_.emplace_back(weights_.parameters.size);
  gradient_sum_.emplace(gradients_, cluster);
}

double Trainer::sum_over_chunks(const std::function<double(size_t offset, size_t count)>& work) {
  constexpr size_t kChunk = size_t{1} << 16;
  const size_t size = weights_.values.size();
  std::vector<double> sums(ceil_div(size, kChunk));
  team_.for_each(static_cast<int64_t>(sums.size()), [&](int, int64_t index) {
    const size_t offset = static_cast<size_t>(index) * kChunk;
    sums[static_cast<size_t>(index)] = work(offset, std::min(kChunk, size - offset));
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

// Makes the gradient of this rank's images, and has the sum of all ranks' made meanwhile. Returns
// the nats of this rank's images.
template <class T>
double Trainer::own_gradient(std::vector<GradientPass<T>>& passes) {
  const ModelConfig& config = weights_.config;
  const auto dims = static_cast<size_t>(config.dims());
  const auto scale = static_cast<float>(1.0 / static_cast<double>(options_.batch * config.dims()));
  const Range part = part_of(options_.batch, cluster_.rank(), cluster_.size());
  std::vector<DataOrder::Place> places;
  for (int64_t i = part.first; i < part.last; ++i) places.push_back(order_.at(images_ + i));
  std::vector<double> nats(places.size());

  // Worker w of n takes images w, w + n, w + 2n, ..., so that the sums do not depend on which
  // worker is faster.
  team_.run([&](int rank) {
    const auto worker = static_cast<size_t>(rank);
    if (worker >= passes.size()) return;
    Buffer<float>& gradient = gradients_[worker];
    std::vector<uint8_t> pixels(dims);
    const auto done_from = [&](size_t offset) { gradient_sum_->done_from(worker, offset); };
    for (size_t i = worker; i < places.size(); i += passes.size()) {
      data_->read(places[i].index, pixels);
      if (places[i].flipped) mirror(pixels, config.image.width);
      const bool last = i + passes.size() >= places.size();
      nats[i] = passes[worker].run(pixels.data(), scale, gradient.data(), i != worker,
                                   last ? done_from : std::function<void(size_t)>());
    }
  });
  double total = 0;
  for (const double image_nats : nats) total += image_nats;
  return total;
}

// Leaves the batch's gradient in gradients_[0] and returns the batch's nats.
double Trainer::gradient() {
  double nats = 0;
  std::exception_ptr failure;
  gradient_sum_->begin();
  try {
    nats = std::visit([&](auto& passes) { return own_gradient(passes); }, passes_);
  } catch (...) {
    failure = std::current_exception();  // the other ranks wait for the sums all the same
  }
  gradient_sum_->finish();
  return sum_unless_failed(cluster_, nats, failure);
}

StepReport Trainer::step(double fraction_done) {
  const double nats = gradient();
  const auto dims = static_cast<double>(options_.batch * weights_.config.dims());
  StepReport report;
  report.step = steps() + 1;
  report.images = images_ + options_.batch;
  report.bits_per_dim = nats / dims / std::numbers::ln2;
  report.gradient_norm = std::sqrt(sum_over_chunks([&](size_t offset, size_t count) {
    return sum_of_squares(gradients_[0].span().subspan(offset, count));
  }));
  report.learning_rate = learning_rate(options_, steps(), fraction_done);
  const auto require_finite = [&](std::string_view what, double value) {
    if (!std::isfinite(value))
      throw NotFinite(
          fmt::format("training broke down at step {}: {} is {}; go on from an earlier "
                      "checkpoint with a lower learning rate than {}",
                      report.step, what, value, options_.learning_rate));
  };
  require_finite("the loss", report.bits_per_dim);
  require_finite("the gradient's norm", report.gradient_norm);

  // From here on, the step is not cancelled: half an update would be of no use.
  whole_ = false;
  const double clip = std::min(1.0, options_.clip_norm / std::max(report.gradient_norm, 1e-30));
  optimizer_.step(gradients_[0].span(), static_cast<float>(clip),
                  static_cast<float>(report.learning_rate), weights_.values.span(), team_);
  packed_.refresh(team_);
  images_ = report.images;
  // A young average forgets faster, because the first weights mean nothing.
  const auto age = static_cast<double>(report.step);
  const double decay = std::min(options_.average_decay, age / (age + 10));
  const double squares = sum_over_chunks([&](size_t offset, size_t count) {
    const std::span<const float> values = weights_.values.span().subspan(offset, count);
    blend(values, static_cast<float>(decay), average_.values.span().subspan(offset, count));
    return sum_of_squares(values);
  });
  // Checked immediately, so that no checkpoint ever contains such weights.
  require_finite("the norm of the weights", std::sqrt(squares));
  whole_ = true;
  return report;
}

}  // namespace combiner
