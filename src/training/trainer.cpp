#include "training/trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "error.h"
#include "kernels/descent.h"
#include "kernels/rows.h"
#include "training/initialise.h"

namespace combiner {
namespace {

// [height, width, channels], mirrored left to right in place.
void flip(std::span<uint8_t> pixels, const ImageShape& shape) {
  const auto channels = static_cast<size_t>(shape.channels);
  const auto width = static_cast<size_t>(shape.width);
  for (size_t row = 0; row < static_cast<size_t>(shape.height); ++row)
    for (size_t left = 0; left < width / 2; ++left) {
      uint8_t* a = pixels.data() + (row * width + left) * channels;
      uint8_t* b = pixels.data() + (row * width + width - 1 - left) * channels;
      std::swap_ranges(a, a + channels, b);
    }
}

}  // namespace

double learning_rate(const TrainingOptions& options, int64_t step, double fraction_done) {
  const double warm =
      options.warmup_steps > 0
          ? std::min(1.0, static_cast<double>(step + 1) / static_cast<double>(options.warmup_steps))
          : 1.0;
  const double left = std::clamp(1.0 - fraction_done, 0.0, 1.0);
  const double decay =
      options.decay_fraction > 0 ? std::min(1.0, left / options.decay_fraction) : 1.0;
  return options.learning_rate * warm * decay;
}

Trainer::Trainer(const ModelConfig& config, const TrainingOptions& options,
                 std::shared_ptr<const Dataset> data, Precision precision, int threads)
    : options_(options),
      data_(std::move(data)),
      team_(threads),
      weights_(config),
      average_(config),
      optimizer_(weights_.parameters, options.optimizer),
      order_(options.seed, data_->size(), options.flips) {
  if (data_->size() < 1) throw Error("no images to train on");
  initialise(weights_, options.seed);
  average_.values = weights_.values.clone();
  const auto make_passes = [&]<class T>(std::vector<GradientPass<T>> passes, const T* values) {
    passes.reserve(static_cast<size_t>(team_.size()));
    for (int rank = 0; rank < team_.size(); ++rank)
      passes.emplace_back(weights_.config, weights_.parameters, weights_.values.data(), values);
    passes_ = std::move(passes);
  };
  if (precision == Precision::bf16) {
    product_values_ = Buffer<bfloat16>(weights_.values.size());
    refresh_product_values();
    make_passes(std::vector<GradientPass<bfloat16>>(), product_values_.data());
  } else {
    make_passes(std::vector<GradientPass<float>>(), weights_.values.data());
  }
  for (int rank = 0; rank < team_.size(); ++rank) gradients_.emplace_back(weights_.parameters.size);
}

void Trainer::refresh_product_values() {
  if (product_values_.empty()) return;
  const auto size = static_cast<int64_t>(product_values_.size());
  convert<float, bfloat16>({weights_.values.data(), 1, size}, {product_values_.data(), 1, size});
}

// Sums the batch's gradient into gradients_[0] and returns its nats.
template <class T>
double Trainer::gradient(std::vector<GradientPass<T>>& passes) {
  const ModelConfig& config = weights_.config;
  const auto dims = static_cast<size_t>(config.dims());
  const auto scale = static_cast<float>(1.0 / static_cast<double>(options_.batch * config.dims()));
  std::vector<DataOrder::Place> places;
  for (int64_t i = 0; i < options_.batch; ++i) places.push_back(order_.at(images_ + i));
  std::vector<double> nats(places.size());

  // Thread r takes images r, r + size, ... so that sums do not depend on who was faster.
  team_.run([&](int rank) {
    Buffer<float>& gradient = gradients_[static_cast<size_t>(rank)];
    gradient.fill(0.0f);
    std::vector<uint8_t> pixels(dims);
    for (auto i = static_cast<size_t>(rank); i < places.size();
         i += static_cast<size_t>(team_.size())) {
      data_->read(places[i].index, pixels);
      if (places[i].flipped) flip(pixels, config.image);
      nats[i] = passes[static_cast<size_t>(rank)].run(pixels.data(), scale, gradient.data());
    }
  });
  team_.run([&](int rank) {
    const size_t share = gradients_[0].size() / static_cast<size_t>(team_.size()) + 1;
    const size_t begin = std::min(gradients_[0].size(), share * static_cast<size_t>(rank));
    const size_t count = std::min(share, gradients_[0].size() - begin);
    for (size_t other = 1; other < gradients_.size(); ++other)
      add_row(gradients_[other].span().subspan(begin, count), gradients_[0].data() + begin);
  });
  double total = 0;
  for (const double image_nats : nats) total += image_nats;
  return total;
}

StepReport Trainer::step(double fraction_done) {
  const double nats = std::visit([&](auto& passes) { return gradient(passes); }, passes_);
  const auto dims = static_cast<double>(options_.batch * weights_.config.dims());
  StepReport report;
  report.bits_per_dim = nats / dims / std::numbers::ln2;
  report.gradient_norm = std::sqrt(sum_of_squares(gradients_[0].span()));
  report.learning_rate = learning_rate(options_, steps_, fraction_done);
  if (!std::isfinite(report.bits_per_dim) || !std::isfinite(report.gradient_norm))
    throw Error(
        fmt::format("training broke down at step {}: the loss is {} bits/dim, the gradient's "
                    "norm {}; go on from an earlier checkpoint with a lower learning rate "
                    "than {}",
                    steps_ + 1, report.bits_per_dim, report.gradient_norm, options_.learning_rate));

  const double clip = std::min(1.0, options_.clip_norm / std::max(report.gradient_norm, 1e-30));
  optimizer_.step(gradients_[0].span(), static_cast<float>(clip),
                  static_cast<float>(report.learning_rate), weights_.values.span(), team_);
  refresh_product_values();
  ++steps_;
  images_ += options_.batch;
  // Young averages forget faster: the first weights say nothing.
  const double decay = std::min(options_.average_decay,
                                static_cast<double>(steps_) / static_cast<double>(steps_ + 10));
  blend(weights_.values.span(), static_cast<float>(decay), average_.values.span());
  report.step = steps_;
  report.images = images_;
  return report;
}

}  // namespace combiner
