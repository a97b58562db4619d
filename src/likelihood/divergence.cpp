#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <span>
#include <vector>

#include "combiner/error.h"
#include "combiner/likelihood.h"
#include "dataset/check_fit.h"
#include "likelihood/each_image.h"
#include "tensor/buffer.h"

namespace combiner {
namespace {

// Means over the sub-pixels of one image.
struct ImageDivergence {
  double reference_nats = 0;
  double nats = 0;
  double kl_divergence = 0;
};

double log_sum_exp(std::span<const float> logits) {
  const double largest = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  return largest + std::log(sum);
}

// Adds one sub-pixel, whose true value is `value`.
void add_subpixel(std::span<const float> reference, std::span<const float> logits, size_t value,
                  ImageDivergence& sum) {
  const double reference_norm = log_sum_exp(reference);
  const double norm = log_sum_exp(logits);
  sum.reference_nats += reference_norm - reference[value];
  sum.nats += norm - logits[value];
  for (size_t i = 0; i < logits.size(); ++i) {
    const double log_p = reference[i] - reference_norm;
    const double log_q = logits[i] - norm;
    sum.kl_divergence += std::exp(log_p) * (log_p - log_q);
  }
}

// Per-thread comparer of the two models.
class Comparer {
 public:
  Comparer(const Model& reference, const Model& model, const Dataset& images, const Cancel& cancel)
      : images_(images),
        vocab_(static_cast<size_t>(model.config().vocab_size)),
        reference_(reference, cancel),
        model_(model, cancel),
        reference_logits_(static_cast<size_t>(model.config().dims()) * vocab_),
        logits_(reference_logits_.size()) {}

  ImageDivergence operator()(int64_t index, std::span<const uint8_t> pixels) {
    reference_.logits(pixels.data(), reference_logits_.data());
    model_.logits(pixels.data(), logits_.data());
    ImageDivergence image;
    for (size_t i = 0; i < pixels.size(); ++i)
      add_subpixel(reference_logits_.span().subspan(i * vocab_, vocab_),
                   logits_.span().subspan(i * vocab_, vocab_), pixels[i], image);
    const auto dims = static_cast<double>(pixels.size());
    image.reference_nats /= dims;
    image.nats /= dims;
    image.kl_divergence /= dims;
    if (!std::isfinite(image.reference_nats + image.nats + image.kl_divergence))
      throw NotFinite(
          fmt::format("{}: the models differ by {} nats a sub-pixel on this image, expected "
                      "a finite number; their weights may be too large",
                      images_.describe(index), image.kl_divergence));
    return image;
  }

 private:
  const Dataset& images_;
  size_t vocab_;
  ImageScorer reference_, model_;
  Buffer<float> reference_logits_, logits_;  // [dims, vocab]
};

}  // namespace

Divergence measure_divergence(const Model& reference, const Model& model, const Dataset& images,
                              const LikelihoodOptions& options, const OnImage& on_image) {
  validate(options);
  check_fit(reference.config(), images);
  check_fit(model.config(), images);
  if (reference.config().vocab_size != model.config().vocab_size)
    throw Error(fmt::format("the models have {} and {} values to a sub-pixel, expected the same",
                            reference.config().vocab_size, model.config().vocab_size));

  // Summed in the order of the images, so that the result does not depend on the threads.
  Divergence divergence;
  double reference_nats = 0, nats = 0, kl = 0;
  for (const ImageDivergence& image :
       each_image(images, options, &ImageDivergence::kl_divergence, on_image,
                  [&] { return Comparer(reference, model, images, options.cancel); })) {
    ++divergence.images;
    reference_nats += image.reference_nats;
    nats += image.nats;
    kl += image.kl_divergence;
  }
  const auto number = static_cast<double>(divergence.images);
  divergence.reference_bits_per_dim = reference_nats / number / std::numbers::ln2;
  divergence.bits_per_dim = nats / number / std::numbers::ln2;
  divergence.kl_divergence = kl / number;
  return divergence;
}

}  // namespace combiner
