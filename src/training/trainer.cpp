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

constexpr int kChannels = 3;  // of every data set

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

void check_fit(const ModelConfig& config, const Dataset& data) {
  if (data.size() < 1) throw Error("there are no images to train on");
  if (config.image != ImageShape{data.height(), data.width(), kChannels})
    throw Error(
        fmt::format("the model is of images of {}x{} pixels with {} channels, the data set "
                    "has {}x{} with {}",
                    config.image.width, config.image.height, config.image.channels, data.width(),
                    data.height(), kChannels));
}

}  // namespace

Trainer::Trainer(const ModelConfig& config, const TrainingOptions& options,
                 std::shared_ptr<const Dataset> data, Precision precision, int threads)
    : options_(options),
      data_(std::move(data)),
      team_(threads),
      weights_(config),
      average_(config),
      optimizer_(weights_.parameters, options.optimizer,
                 precision == Precision::bf16 ? ElementType::bf16 : ElementType::f32),
      order_(options.seed, data_->size(), options.flips) {
  validate(options_, "training options");
  if (precision == Precision::int8)
    throw Error("int8 weights can't be trained; train in f32 or bf16 and quantize the result");
  check_fit(config, *data_);
  initialise(weights_, options_.seed);
  average_.values = weights_.values.clone();

  const auto workers = static_cast<size_t>(std::min<int64_t>(team_.size(), options_.batch));
  const auto make_passes = [&]<class T>(const T* product_values) {
    std::vector<GradientPass<T>> passes;
    passes.reserve(workers);
    while (passes.size() < workers)
      passes.emplace_back(weights_.config, weights_.parameters, weights_.values.data(),
                          product_values);
    passes_ = std::move(passes);
  };
  if (precision == Precision::bf16) {
    product_values_ = Buffer<bfloat16>(weights_.values.size());
    refresh_product_values();
    make_passes(static_cast<const bfloat16*>(product_values_.data()));
  } else {
    make_passes(static_cast<const float*>(weights_.values.data()));
  }
  while (gradients_.size() < workers) gradients_.emplace_back(weights_.parameters.size);
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

  // The first of n workers takes images 0, n, 2n, ... so that sums do not depend on who was faster.
  team_.run([&](int rank) {
    const auto worker = static_cast<size_t>(rank);
    if (worker >= passes.size()) return;
    Buffer<float>& gradient = gradients_[worker];
    gradient.fill(0.0f);
    std::vector<uint8_t> pixels(dims);
    for (size_t i = worker; i < places.size(); i += passes.size()) {
      data_->read(places[i].index, pixels);
      if (places[i].flipped) flip(pixels, config.image);
      nats[i] = passes[worker].run(pixels.data(), scale, gradient.data());
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
  report.step = steps() + 1;
  report.images = images_ + options_.batch;
  report.bits_per_dim = nats / dims / std::numbers::ln2;
  report.gradient_norm = std::sqrt(sum_of_squares(gradients_[0].span()));
  report.learning_rate = learning_rate(options_, steps(), fraction_done);
  const auto require_finite = [&](std::string_view what, double value) {
    if (!std::isfinite(value))
      throw Error(
          fmt::format("training broke down at step {}: {} is {}; go on from an earlier "
                      "checkpoint with a lower learning rate than {}",
                      report.step, what, value, options_.learning_rate));
  };
  require_finite("the loss", report.bits_per_dim);
  require_finite("the gradient's norm", report.gradient_norm);

  const double clip = std::min(1.0, options_.clip_norm / std::max(report.gradient_norm, 1e-30));
  optimizer_.step(gradients_[0].span(), static_cast<float>(clip),
                  static_cast<float>(report.learning_rate), weights_.values.span(), team_);
  // Checked at once, so that no checkpoint ever holds such weights.
  require_finite("the norm of the weights", std::sqrt(sum_of_squares(weights_.values.span())));
  refresh_product_values();
  images_ = report.images;
  // Young averages forget faster: the first weights say nothing.
  const auto age = static_cast<double>(report.step);
  const double decay = std::min(options_.average_decay, age / (age + 10));
  blend(weights_.values.span(), static_cast<float>(decay), average_.values.span());
  return report;
}

}  // namespace combiner
