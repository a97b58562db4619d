#include "combiner/likelihood.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cmath>
#include <limits>
#include <mutex>
#include <numbers>
#include <numeric>

#include "catch.h"
#include "combiner/error.h"
#include "error_of.h"
#include "memory_dataset.h"
#include "model/golden_cases.h"
#include "model/random_model.h"
#include "model_of.h"

namespace combiner {
namespace {

using Catch::Matchers::WithinRel;

struct Case {
  Weights weights;
  MemoryDataset images;
};

Case random_case(int64_t images) {
  Random random(7);
  const ModelConfig config = small_config(Tokens::pixel, Attention::axial_rowmajor, 5, 4);
  Weights weights = random_weights(config, random);
  return {std::move(weights),
          MemoryDataset(4, 5, random.bytes(static_cast<size_t>(images * config.dims())))};
}

Likelihood evaluate_all(const Case& c, const LikelihoodOptions& options,
                        Precision precision = Precision::f32) {
  return evaluate(model_of(c.weights, precision), c.images, options);
}

TEST_CASE("likelihood: equals the summed nats of the golden files") {
  for (const GoldenCase& golden : golden_cases()) {
    INFO(golden.name);
    const ImageShape& shape = golden.weights.config.image;
    const MemoryDataset images(shape.width, shape.height, golden.pixels);
    const Likelihood likelihood = evaluate(model_of(golden.weights), images);
    REQUIRE(likelihood.images.size() == golden.images());
    double total = 0;
    for (size_t i = 0; i < golden.images(); ++i) {
      const std::span<const float> nats = golden.image(golden.nats, i);
      double sum = 0;
      for (size_t c = 0; c < 3; ++c) {
        double channel = 0;
        for (size_t j = c; j < nats.size(); j += 3) channel += nats[j];
        CHECK_THAT(likelihood.images[i].nats[c], WithinRel(channel, 1e-6));
        sum += channel;
      }
      const double bits = sum / std::numbers::ln2 / static_cast<double>(golden.dims());
      CHECK_THAT(likelihood.images[i].bits_per_dim, WithinRel(bits, 1e-6));
      total += bits;
    }
    CHECK_THAT(likelihood.bits_per_dim,
               WithinRel(total / static_cast<double>(golden.images()), 1e-6));
  }
}

TEST_CASE("likelihood: agrees with the forward pass for each image, in either precision") {
  const Case c = random_case(3);
  const auto check = [&]<class T>(Precision precision, T) {
    const Likelihood likelihood = evaluate_all(c, {.threads = 2}, precision);
    const ModelWeights packed = packed_of(c.weights, precision);
    ImagePass<T> forward(c.weights.config, packed, Pass::forward_only);
    std::vector<uint8_t> pixels(static_cast<size_t>(c.weights.config.dims()));
    std::vector<float> nats(pixels.size());
    for (int64_t i = 0; i < 3; ++i) {
      c.images.read(i, pixels);
      forward.nll(pixels.data(), nats.data());
      std::array<double, 3> sums{};
      for (size_t j = 0; j < nats.size(); ++j) sums[j % 3] += nats[j];
      CHECK(likelihood.images[static_cast<size_t>(i)].index == i);
      CHECK(likelihood.images[static_cast<size_t>(i)].nats == sums);
    }
    return likelihood.bits_per_dim;
  };
  const double f32 = check(Precision::f32, float());
  const double bf16 = check(Precision::bf16, bfloat16());
  CHECK(f32 != bf16);
  CHECK_THAT(f32, WithinRel(bf16, 0.02));
}

TEST_CASE("likelihood: mean, standard error and channels") {
  const Case c = random_case(5);
  const Likelihood likelihood = evaluate_all(c, {});
  double mean = 0, squares = 0;
  std::array<double, 3> nats{};
  for (const ImageLikelihood& image : likelihood.images) {
    mean += image.bits_per_dim / 5;
    for (size_t channel = 0; channel < 3; ++channel) nats[channel] += image.nats[channel];
  }
  for (const ImageLikelihood& image : likelihood.images)
    squares += (image.bits_per_dim - mean) * (image.bits_per_dim - mean);
  CHECK_THAT(likelihood.bits_per_dim, WithinRel(mean, 1e-9));
  CHECK_THAT(likelihood.standard_error, WithinRel(std::sqrt(squares / 4 / 5), 1e-9));
  double channels = 0;
  for (size_t channel = 0; channel < 3; ++channel) {
    const double bits = nats[channel] / std::numbers::ln2 / (5 * 20);
    CHECK_THAT(likelihood.channel_bits_per_dim[channel], WithinRel(bits, 1e-9));
    channels += bits / 3;
  }
  CHECK_THAT(channels, WithinRel(mean, 1e-9));
  CHECK(likelihood.images_per_second > 0);
}

TEST_CASE("likelihood: equal bits for any number of threads") {
  const Case c = random_case(20);
  const Likelihood one = evaluate_all(c, {.threads = 1});
  for (const int threads : {2, 3, 50}) {
    INFO(threads << " threads");
    const Likelihood many = evaluate_all(c, {.threads = threads});
    CHECK(many.bits_per_dim == one.bits_per_dim);
    CHECK(many.standard_error == one.standard_error);
    CHECK(many.channel_bits_per_dim == one.channel_bits_per_dim);
    REQUIRE(many.images.size() == one.images.size());
    for (size_t i = 0; i < one.images.size(); ++i) {
      CHECK(many.images[i].index == one.images[i].index);
      CHECK(many.images[i].nats == one.images[i].nats);
    }
  }
}

TEST_CASE("likelihood: a limit takes the first images, or all if there are fewer") {
  const Case c = random_case(4);
  const Likelihood all = evaluate_all(c, {});
  const Likelihood two = evaluate_all(c, {.limit = 2, .threads = 3});
  REQUIRE(two.images.size() == 2);
  CHECK(two.images[1].nats == all.images[1].nats);
  CHECK(evaluate_all(c, {.limit = 100}).images.size() == 4);
  const Likelihood one = evaluate_all(c, {.limit = 1});
  CHECK(one.bits_per_dim == all.images[0].bits_per_dim);
  CHECK(std::isnan(one.standard_error));
}

TEST_CASE("likelihood: needs no options and no callbacks") {
  const Case c = random_case(3);
  const Likelihood likelihood = evaluate(model_of(c.weights), c.images);
  CHECK(likelihood.images.size() == 3);
  CHECK(likelihood.bits_per_dim == evaluate_all(c, {}).bits_per_dim);
}

TEST_CASE("likelihood: options out of range are Errors") {
  const Case c = random_case(1);
  const auto error = [&](const LikelihoodOptions& options) {
    return error_of([&] { evaluate_all(c, options); });
  };
  CHECK(error({.limit = -1}) == "the limit is -1 images; expected 0 or more");
  CHECK(error({.threads = 0}) == "the number of threads is 0; expected 1 or more");
}

TEST_CASE("likelihood: of no images, the means are no numbers") {
  const Likelihood none = evaluate_all(random_case(1), {.limit = 0});
  CHECK(none.images.empty());
  CHECK(std::isnan(none.bits_per_dim));
  CHECK(std::isnan(none.standard_error));
  CHECK(std::isnan(none.channel_bits_per_dim[0]));
  CHECK(none.images_per_second == 0);
}

TEST_CASE("likelihood: reports each image and ends when asked to") {
  const Case c = random_case(50);
  std::vector<int64_t> reports;
  double last_mean = 0;
  std::atomic<bool> enough = false;
  const auto until_seven = [&](int64_t done, int64_t total, double mean) {
    CHECK(total == 50);
    reports.push_back(done);
    last_mean = mean;
    if (done == 7) enough = true;
  };
  LikelihoodOptions options = {.cancel = Cancel([&] { return enough.load(); })};
  const Likelihood likelihood = evaluate(model_of(c.weights), c.images, options, until_seven);
  CHECK(reports == std::vector<int64_t>{1, 2, 3, 4, 5, 6, 7});
  REQUIRE(likelihood.images.size() == 7);
  CHECK_THAT(likelihood.bits_per_dim, WithinRel(last_mean, 1e-9));

  enough = false;
  options.threads = 3;
  const Likelihood many = evaluate(model_of(c.weights), c.images, options, until_seven);
  CHECK(many.images.size() >= 7);
  CHECK(many.images.size() <= 9);  // the other threads may have just finished theirs
}

TEST_CASE("likelihood: on_nats receives each image's pixels and nats and changes no figure") {
  const Case c = random_case(6);
  const auto dims = static_cast<size_t>(c.weights.config.dims());
  std::mutex mutex;
  std::vector<std::vector<uint8_t>> pixels(6);
  std::vector<std::vector<float>> nats(6);
  const Likelihood likelihood = evaluate(
      model_of(c.weights), c.images, {.threads = 3}, {},
      [&](int64_t index, std::span<const uint8_t> image, std::span<const float> image_nats) {
        const std::lock_guard lock(mutex);
        const auto i = static_cast<size_t>(index);
        CHECK(pixels[i].empty());
        pixels[i].assign(image.begin(), image.end());
        nats[i].assign(image_nats.begin(), image_nats.end());
      });
  const Likelihood without = evaluate_all(c, {});
  CHECK(likelihood.bits_per_dim == without.bits_per_dim);
  for (size_t i = 0; i < 6; ++i) {
    std::vector<uint8_t> image(dims);
    c.images.read(static_cast<int64_t>(i), image);
    CHECK(pixels[i] == image);
    REQUIRE(nats[i].size() == dims);
    std::array<double, 3> sums{};
    for (size_t j = 0; j < dims; ++j) sums[j % 3] += nats[i][j];
    CHECK(likelihood.images[i].nats == sums);
    CHECK(without.images[i].nats == sums);
  }
}

TEST_CASE("likelihood: an impossible evaluation is an Error") {
  const Case c = random_case(2);
  const auto fails = [](const Weights& weights, const Dataset& images) {
    return error_of([&] { evaluate(model_of(weights), images); });
  };
  CHECK_THAT(fails(c.weights, MemoryDataset(5, 4, std::vector<uint8_t>(60))),
             contains("takes images of 4x5 pixels, the data set has 5x4"));
  CHECK_THAT(fails(c.weights, MemoryDataset(4, 5, {})), contains("no images"));

  ModelConfig grey = small_config(Tokens::subpixel, Attention::full, 5, 4);
  grey.image.channels = 1;
  CHECK_THAT(fails(Weights(grey), c.images), contains("1 channels, expected 3"));

  // Activations overflow, so every later number is infinite or NaN.
  Case large = random_case(2);
  for (float& value : large.weights.values) value = 1e38f;
  const std::string message = fails(large.weights, large.images);
  CHECK_THAT(message, contains("picture 0"));
  CHECK_THAT(message, contains("expected a finite number"));
}

// Images of which some can't be read.
class Damaged : public MemoryDataset {
 public:
  Damaged(const MemoryDataset& images, std::vector<int64_t> bad)
      : MemoryDataset(images), bad_(std::move(bad)) {}
  void read(int64_t index, std::span<uint8_t> pixels) const override {
    if (std::ranges::find(bad_, index) != bad_.end())
      throw Error(fmt::format("{}: is damaged", describe(index)));
    MemoryDataset::read(index, pixels);
  }

 private:
  std::vector<int64_t> bad_;
};

TEST_CASE("likelihood: images that can't be read are left out, if that is wanted") {
  const Case c = random_case(6);
  const Model model = model_of(c.weights);
  const Damaged images(c.images, {1, 4});
  CHECK_THAT(error_of([&] { evaluate(model, images); }), contains("is damaged"));

  const Likelihood all = evaluate_all(c, {});
  std::vector<std::string> bad;
  int64_t last_done = 0, last_total = 0;
  LikelihoodOptions options;
  options.on_bad = [&](const std::string& why) { bad.push_back(why); };
  const Likelihood rest =
      evaluate(model, images, options, [&](int64_t done, int64_t total, double) {
        last_done = done;
        last_total = total;
      });
  CHECK(bad == std::vector<std::string>{"picture 1: is damaged", "picture 4: is damaged"});
  CHECK(last_done == 4);
  CHECK(last_total == 4);
  REQUIRE(rest.images.size() == 4);
  double sum = 0;
  for (size_t i = 0; i < 4; ++i) {
    const size_t whole = std::array<size_t, 4>{0, 2, 3, 5}[i];
    CHECK(rest.images[i].index == static_cast<int64_t>(whole));
    CHECK(rest.images[i].nats == all.images[whole].nats);
    sum += rest.images[i].bits_per_dim;
  }
  CHECK_THAT(rest.bits_per_dim, WithinRel(sum / 4, 1e-12));
}

TEST_CASE("likelihood: ends in the middle of an image when it is asked to") {
  const Case c = random_case(5);
  const Model model = model_of(c.weights);
  std::vector<int64_t> polls_at;  // an image's end
  std::atomic<int64_t> polls = 0;
  const auto count_images = [&](int64_t, int64_t, double) { polls_at.push_back(polls); };
  evaluate(model, c.images, {.cancel = Cancel([&] { return ++polls < 0; })}, count_images);
  REQUIRE(polls_at.size() == 5);
  CHECK(polls_at[0] > 10);

  // Whenever it is asked to, it ends at once, and the images that are done remain.
  for (const int64_t last : {int64_t{1}, polls_at[0] / 2, polls_at[0], polls_at[2] + 3}) {
    polls = 0;
    int64_t nats_of = 0;
    const LikelihoodOptions options = {.cancel = Cancel([&] { return ++polls > last; })};
    const Likelihood likelihood =
        evaluate(model, c.images, options, {},
                 [&](int64_t, std::span<const uint8_t>, std::span<const float>) { ++nats_of; });
    CHECK(polls == last + 1);
    CHECK(std::ssize(likelihood.images) ==
          std::ranges::count_if(polls_at, [&](int64_t end) { return end <= last; }));
    CHECK(nats_of == std::ssize(likelihood.images));
  }
}

}  // namespace
}  // namespace combiner
