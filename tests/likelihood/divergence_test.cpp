#include <algorithm>
#include <cmath>
#include <numbers>

#include "catch.h"
#include "combiner/likelihood.h"
#include "error_of.h"
#include "memory_dataset.h"
#include "model/random_model.h"
#include "model_of.h"
#include "reference_model.h"

namespace combiner {
namespace {

using Catch::Matchers::WithinAbs;
using Catch::Matchers::WithinRel;

constexpr int kHeight = 4, kWidth = 3;

Weights model(uint64_t seed, Tokens tokens = Tokens::pixel) {
  Random random(seed);
  return random_weights(small_config(tokens, Attention::axial_rowmajor, kHeight, kWidth), random);
}

// `weights` with a little relative noise.
Weights near(const Weights& weights, double deviation) {
  Random random(9);
  Weights other(weights.config);
  for (size_t i = 0; i < other.values.size(); ++i)
    other.values[i] =
        weights.values[i] * static_cast<float>(1 + random.normal(deviation));  // zeros stay zero
  return other;
}

MemoryDataset pictures(size_t count) {
  Random random(5);
  return MemoryDataset(kWidth, kHeight, random.bytes(count * kHeight * kWidth * 3));
}

Divergence measure(const Weights& reference, const Weights& model, const Dataset& images,
                   const LikelihoodOptions& options = {}) {
  return measure_divergence(model_of(reference), model_of(model), images, options);
}

// The sums of the definition, computed in double.
double plain_kl(const std::vector<double>& reference, const std::vector<double>& logits) {
  double kl = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    const double log_p = -reference::nats(reference, i), log_q = -reference::nats(logits, i);
    kl += std::exp(log_p) * (log_p - log_q);
  }
  return kl;
}

TEST_CASE("divergence: a model has no divergence from itself") {
  const MemoryDataset images = pictures(3);
  for (const Tokens tokens : {Tokens::pixel, Tokens::subpixel}) {
    const Weights weights = model(1, tokens);
    const Divergence divergence = measure(weights, weights, images);
    CHECK(divergence.images == 3);
    CHECK(divergence.kl_divergence == 0);
    CHECK(divergence.bits_per_dim == divergence.reference_bits_per_dim);
    const Likelihood likelihood = evaluate(model_of(weights), images);
    CHECK_THAT(divergence.bits_per_dim, WithinRel(likelihood.bits_per_dim, 1e-6));
  }
}

TEST_CASE("divergence: agrees with the definition, computed with the reference model") {
  const MemoryDataset images = pictures(2);
  // The models may differ in everything except the images that they are models of.
  const Weights reference = model(1), nearby = near(reference, 0.1),
                other = model(2, Tokens::subpixel);
  const auto logits = [](const Weights& weights, const std::vector<uint8_t>& pixels) {
    return reference::logits(weights.config, weights.parameters, to_doubles(weights),
                             pixels.data());
  };
  for (const Weights* weights : {&nearby, &other}) {
    double kl = 0, reversed = 0, nats = 0, reference_nats = 0;
    std::vector<uint8_t> pixels(kHeight * kWidth * 3);
    for (int64_t image = 0; image < 2; ++image) {
      images.read(image, pixels);
      const auto p = logits(reference, pixels), q = logits(*weights, pixels);
      for (size_t i = 0; i < pixels.size(); ++i) {
        kl += plain_kl(p[i], q[i]);
        reversed += plain_kl(q[i], p[i]);
        reference_nats += reference::nats(p[i], pixels[i]);
        nats += reference::nats(q[i], pixels[i]);
      }
    }
    const auto subpixels = static_cast<double>(2 * pixels.size());
    const Divergence divergence = measure(reference, *weights, images);
    CHECK_THAT(divergence.kl_divergence, WithinRel(kl / subpixels, 1e-4));
    CHECK(std::abs(kl - reversed) > 1e-3 * kl);  // so this test would notice the two swapped
    CHECK_THAT(divergence.reference_bits_per_dim,
               WithinRel(reference_nats / subpixels / std::numbers::ln2, 1e-5));
    CHECK_THAT(divergence.bits_per_dim, WithinRel(nats / subpixels / std::numbers::ln2, 1e-5));
  }
}

TEST_CASE("divergence: grows with the square of small changes") {
  const MemoryDataset images = pictures(2);
  const Weights weights = model(3);
  const double small = measure(weights, near(weights, 0.001), images).kl_divergence;
  const double large = measure(weights, near(weights, 0.01), images).kl_divergence;
  CHECK(small > 0);
  CHECK_THAT(large / small, WithinAbs(100, 20));
}

TEST_CASE("divergence: equal bits for any number of threads, over the first images") {
  const MemoryDataset images = pictures(7);
  const Weights reference = model(1), other = near(reference, 0.1);
  const Divergence one = measure(reference, other, images, {.limit = 6, .threads = 1});
  const Divergence many = measure(reference, other, images, {.limit = 6, .threads = 3});
  CHECK(one.images == 6);
  CHECK(many.images == 6);
  CHECK(many.kl_divergence == one.kl_divergence);
  CHECK(many.bits_per_dim == one.bits_per_dim);
  CHECK(many.reference_bits_per_dim == one.reference_bits_per_dim);
  CHECK(measure(reference, other, images).kl_divergence != one.kl_divergence);
  CHECK(measure(reference, other, images, {.limit = 100}).images == 7);
}

TEST_CASE("divergence: reports each image and ends when asked to") {
  const Weights reference = model(1), other = near(reference, 0.1);
  double mean = 0;
  std::vector<int64_t> reports;
  const auto report = [&](int64_t done, int64_t total, double so_far) {
    CHECK(total == 9);
    reports.push_back(done);
    mean = so_far;
  };
  const LikelihoodOptions until_four = {.cancel = Cancel([&] { return reports.size() == 4; })};
  const Divergence divergence =
      measure_divergence(model_of(reference), model_of(other), pictures(9), until_four, report);
  CHECK(reports == std::vector<int64_t>{1, 2, 3, 4});
  CHECK(divergence.images == 4);
  CHECK_THAT(divergence.kl_divergence, WithinRel(mean, 1e-12));
}

TEST_CASE("divergence: an impossible comparison is an Error") {
  const MemoryDataset images = pictures(2);
  const Weights weights = model(1);
  const auto fails = [&](const Weights& reference, const Weights& other, const Dataset& data) {
    return error_of([&] { measure(reference, other, data); });
  };
  CHECK_THAT(fails(weights, weights, MemoryDataset(kHeight, kWidth, std::vector<uint8_t>(36))),
             contains("takes images of 3x4 pixels, the data set has 4x3"));
  CHECK_THAT(fails(weights, weights, MemoryDataset(kWidth, kHeight, {})), contains("no images"));

  Weights large = model(1);
  for (float& value : large.values) value = 1e38f;
  for (const std::string& message :
       {fails(weights, large, images), fails(large, weights, images)}) {
    CHECK_THAT(message, contains("picture 0"));
    CHECK_THAT(message, contains("expected a finite number"));
  }
}

}  // namespace
}  // namespace combiner
