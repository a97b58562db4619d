#include "combiner/likelihood.h"

#include <fmt/format.h>

#include <chrono>
#include <cmath>

#include "combiner/error.h"
#include "dataset/check_fit.h"
#include "likelihood/each_image.h"
#include "likelihood/image_likelihood.h"

namespace combiner {
namespace {

constexpr size_t kChannels = 3;

// Per-thread evaluator.
class Evaluator {
 public:
  Evaluator(const Model& model, const Dataset& images, const Cancel& cancel, const OnNats& on_nats)
      : images_(images),
        on_nats_(on_nats),
        scorer_(model, cancel),
        nats_(static_cast<size_t>(model.config().dims())) {}

  ImageLikelihood operator()(int64_t index, std::span<const uint8_t> pixels) {
    scorer_.nll(pixels.data(), nats_.data());
    const ImageLikelihood image = image_likelihood(index, nats_, images_.describe(index));
    if (on_nats_) on_nats_(index, pixels, nats_);
    return image;
  }

 private:
  const Dataset& images_;
  const OnNats& on_nats_;
  ImageScorer scorer_;
  std::vector<float> nats_;
};

// Sums in the order of the images, so that the result does not depend on the threads.
Likelihood summarise(std::vector<ImageLikelihood> images, int dims, double seconds) {
  Likelihood likelihood;
  const auto count = static_cast<double>(images.size());
  double sum = 0;
  std::array<double, kChannels> nats{};
  for (const ImageLikelihood& image : images) {
    sum += image.bits_per_dim;
    for (size_t c = 0; c < kChannels; ++c) nats[c] += image.nats[c];
  }
  likelihood.bits_per_dim = sum / count;
  double squares = 0;
  for (const ImageLikelihood& image : images)
    squares += std::pow(image.bits_per_dim - likelihood.bits_per_dim, 2);
  likelihood.standard_error = std::sqrt(squares / (count - 1) / count);
  for (size_t c = 0; c < kChannels; ++c)
    likelihood.channel_bits_per_dim[c] =
        to_bits_per_dim(nats[c] / count, dims / static_cast<int>(kChannels));
  likelihood.images_per_second = count / seconds;
  likelihood.images = std::move(images);
  return likelihood;
}

}  // namespace

void validate(const LikelihoodOptions& options) {
  if (options.limit && *options.limit < 0)
    throw Error(fmt::format("the limit is {} images; expected 0 or more", *options.limit));
  if (options.threads < 1)
    throw Error(fmt::format("the number of threads is {}; expected 1 or more", options.threads));
}

ImageLikelihood image_likelihood(int64_t index, std::span<const float> nats,
                                 const std::string& where) {
  ImageLikelihood image{.index = index};
  for (size_t i = 0; i < nats.size(); ++i) image.nats[i % kChannels] += nats[i];
  const double sum = image.nats[0] + image.nats[1] + image.nats[2];
  if (!std::isfinite(sum))
    throw NotFinite(
        fmt::format("{}: the model gives this image a likelihood of {} nats, expected a "
                    "finite number; its weights may be too large",
                    where, sum));
  image.bits_per_dim = to_bits_per_dim(sum, static_cast<int>(nats.size()));
  return image;
}

Likelihood evaluate(const Model& model, const Dataset& images, const LikelihoodOptions& options,
                    const OnImage& on_image, const OnNats& on_nats) {
  validate(options);
  check_fit(model.config(), images);
  model.for_images();  // so that packing is not timed

  const auto start = std::chrono::steady_clock::now();
  std::vector<ImageLikelihood> results =
      each_image(images, options, &ImageLikelihood::bits_per_dim, on_image,
                 [&] { return Evaluator(model, images, options.cancel, on_nats); });
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
  return summarise(std::move(results), model.config().dims(), elapsed.count());
}

}  // namespace combiner
