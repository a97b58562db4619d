#include "combiner/sampler.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <stdexcept>
#include <utility>

#include "catch.h"
#include "chi_square.h"
#include "error_of.h"
#include "model/random_model.h"
#include "model_of.h"

namespace combiner {
namespace {

Weights small_model(Tokens tokens = Tokens::pixel,
                    Attention attention = Attention::axial_rowmajor) {
  Random random(9);
  return random_weights(small_config(tokens, attention, 4, 3), random);
}

std::map<int64_t, Image> draw(const Weights& weights, const SampleOptions& options,
                              Precision precision = Precision::f32) {
  std::map<int64_t, Image> images;
  SampleEvents events;
  events.image_done = [&](int64_t index, Image image) {
    REQUIRE(images.emplace(index, std::move(image)).second);
  };
  REQUIRE(sample(model_of(weights, precision), options, events));
  return images;
}

std::vector<float> parallel_logits(const Weights& weights, const Image& image) {
  std::vector<float> logits(image.pixels.size() * 256);
  const Model model = model_of(weights);
  ImageScorer(model).logits(image.pixels.data(), logits.data());
  return logits;
}

}  // namespace

TEST_CASE("sampler: images of fewer positions than a trial of the teams has") {
  Random random(9);
  for (const int width : {1, 2, 3}) {
    const Weights weights =
        random_weights(small_config(Tokens::pixel, Attention::axial_rowmajor, 1, width), random);
    CHECK(draw(weights, {.count = 4, .seed = 5, .batch = 2, .threads = 2}) ==
          draw(weights, {.count = 4, .seed = 5, .batch = 2, .threads = 1}));
  }
}

TEST_CASE("sampler: an image does not depend on count, batch, threads or first index") {
  const Precision precision = GENERATE(Precision::f32, Precision::bf16);
  const Tokens tokens = GENERATE(Tokens::pixel, Tokens::subpixel);
  const Attention attention = GENERATE(from_range(std::begin(kAttentions), std::end(kAttentions)));
  const Weights weights = small_model(tokens, attention);
  SampleOptions options{.count = 11, .seed = 5, .batch = 1};
  const std::map<int64_t, Image> expected = draw(weights, options, precision);
  REQUIRE(expected.size() == 11);
  for (const auto& [count, first, batch, threads] :
       {std::tuple(11, 0, 3, 1), std::tuple(11, 0, 2, 2), std::tuple(11, 0, 64, 3),
        std::tuple(1, 0, 16, 4), std::tuple(1, 7, 16, 2), std::tuple(5, 6, 2, 2)}) {
    CAPTURE(count, first, batch, threads);
    options.count = count;
    options.first_index = first;
    options.batch = batch;
    options.threads = threads;
    const std::map<int64_t, Image> images = draw(weights, options, precision);
    REQUIRE(std::cmp_equal(images.size(), count));
    for (const auto& [index, image] : images) {
      CHECK(index >= first);
      CHECK(image == expected.at(index));
    }
  }
}

TEST_CASE("sampler: images and seeds differ") {
  const Weights weights = small_model();
  const auto images = draw(weights, {.count = 8, .seed = 1});
  const auto others = draw(weights, {.count = 8, .seed = 2});
  for (int64_t i = 0; i < 8; ++i) {
    CHECK(images.at(i).width == 3);
    CHECK(images.at(i).height == 4);
    CHECK(images.at(i) != others.at(i));
    for (int64_t j = 0; j < i; ++j) CHECK(images.at(i) != images.at(j));
  }
}

TEST_CASE("sampler: values have the model's probabilities") {
  const Weights weights = small_model();
  const auto images = draw(weights, {.count = 4000, .seed = 3, .batch = 64, .threads = 2});
  std::vector<int64_t> counts(256);
  for (const auto& [index, image] : images) ++counts[image.pixels[0]];
  const std::vector<float> logits = parallel_logits(weights, images.at(0));
  std::vector<double> probabilities(256);
  double sum = 0;
  for (size_t v = 0; v < 256; ++v) sum += probabilities[v] = std::exp(logits[v]);
  for (double& p : probabilities) p /= sum;
  CHECK(chi_square_excess(counts, probabilities) < 4);
  CHECK(chi_square_excess(counts, std::vector<double>(256, 1.0 / 256)) > 20);
}

TEST_CASE("sampler: temperature 0 takes the most likely value everywhere") {
  const Weights weights = small_model();
  const auto images = draw(weights, {.count = 3, .choice = {.temperature = 0}});
  const Image& image = images.at(0);
  CHECK(images.at(1) == image);
  CHECK(images.at(2) == image);
  const std::vector<float> logits = parallel_logits(weights, image);
  for (size_t i = 0; i < image.pixels.size(); ++i) {
    const std::span<const float> row(logits.data() + i * 256, 256);
    const float most = *std::max_element(row.begin(), row.end());
    CHECK(row[image.pixels[i]] > most - 1e-4f);
  }
}

TEST_CASE("sampler: reports rows as they are finished, with the images' pixels") {
  const Weights weights = small_model(GENERATE(Tokens::pixel, Tokens::subpixel));
  std::map<int64_t, std::vector<uint8_t>> rows;
  std::map<int64_t, int> number;
  size_t images = 0;
  SampleEvents events;
  events.row_done = [&](int64_t index, int row, std::span<const uint8_t> pixels) {
    CHECK(row == number[index]++);
    CHECK(pixels.size() == 9);
    rows[index].insert(rows[index].end(), pixels.begin(), pixels.end());
  };
  events.image_done = [&](int64_t index, const Image& image) {
    ++images;
    CHECK(rows.at(index) == image.pixels);
  };
  CHECK(sample(model_of(weights), {.count = 7, .batch = 2, .threads = 2}, events));
  CHECK(images == 7);
}

// Either one image on a team of two threads, or several images on each thread.
TEST_CASE("sampler: draws the same images again, however the previous run ended") {
  const Weights weights = small_model();
  const int64_t count = GENERATE(1, 7);
  const SampleOptions options{.count = count, .seed = 5, .batch = 2, .threads = 2};
  const std::map<int64_t, Image> expected = draw(weights, options);
  const Model model = model_of(weights);
  Sampler sampler(model, options);
  const auto check_draws_all = [&] {
    std::map<int64_t, Image> images;
    SampleEvents events;
    events.image_done = [&](int64_t index, Image image) {
      images.emplace(index, std::move(image));
    };
    CHECK(sampler.draw(events));
    CHECK(images == expected);
  };
  check_draws_all();
  check_draws_all();

  SampleEvents events;
  events.cancel = Cancel([] { return true; });
  CHECK_FALSE(sampler.draw(events));
  check_draws_all();

  events = {};
  events.row_done = [](int64_t, int, std::span<const uint8_t>) { throw std::runtime_error("no"); };
  CHECK_THROWS_AS(sampler.draw(events), std::runtime_error);
  check_draws_all();
}

TEST_CASE("sampler: refuses to draw from its own callbacks, and goes on") {
  const Model model = model_of(small_model());
  const SampleOptions options{.count = 3, .seed = 5};
  Sampler sampler(model, options);
  std::map<int64_t, Image> images;
  SampleEvents events;
  events.image_done = [&](int64_t index, Image image) {
    CHECK_THROWS_AS(sampler.draw({}), std::logic_error);
    images.emplace(index, std::move(image));
  };
  CHECK(sampler.draw(events));
  CHECK(images == draw(small_model(), options));
  CHECK(sampler.draw({}));
}

TEST_CASE("sampler: keeps no callback after a draw") {
  const Model model = model_of(small_model());
  Sampler sampler(model, {.count = 1});
  const auto held = std::make_shared<bool>(false);
  SampleEvents events;
  events.cancel = Cancel([held] { return *held; });
  const auto owners = held.use_count();
  CHECK(sampler.draw(events));
  CHECK(held.use_count() == owners);
  *held = true;
  CHECK_FALSE(sampler.draw(events));
  CHECK(held.use_count() == owners);
}

TEST_CASE("sampler: goes on when its model is moved or gone") {
  const SampleOptions options{.count = 3, .seed = 5, .batch = 2, .threads = 2};
  std::optional<Model> model = model_of(small_model());
  Sampler sampler(*model, options);
  { const Model moved = std::move(*model); }
  model.reset();
  std::map<int64_t, Image> images;
  SampleEvents events;
  events.row_done = [](int64_t, int, std::span<const uint8_t>) { throw std::runtime_error("no"); };
  CHECK_THROWS_AS(sampler.draw(events), std::runtime_error);  // so the next makes new teams
  events = {};
  events.image_done = [&](int64_t index, Image image) { images.emplace(index, std::move(image)); };
  CHECK(sampler.draw(events));
  CHECK(images == draw(small_model(), options));
}

TEST_CASE("sampler: runs without event handlers") {
  CHECK(sample(model_of(small_model()), {.count = 2}, {}));
}

TEST_CASE("sampler: after cancelling, it keeps finished images and starts no more") {
  const Weights weights = small_model();
  const SampleOptions options{.count = 100, .seed = 5, .batch = 2, .threads = 2};
  const auto expected = draw(weights, {.count = 100, .seed = 5});
  std::map<int64_t, Image> images;
  std::atomic<bool> cancelled = false;
  SampleEvents events;
  events.image_done = [&](int64_t index, Image image) {
    images.emplace(index, std::move(image));
    if (images.size() == 6) cancelled = true;
  };
  events.cancel = Cancel([&] { return cancelled.load(); });
  CHECK_FALSE(sample(model_of(weights), options, events));
  CHECK(images.size() >= 6);
  CHECK(images.size() <= 8);  // the other thread may have just finished its batch
  for (const auto& [index, image] : images) CHECK(image == expected.at(index));

  cancelled = true;
  images.clear();
  CHECK_FALSE(sample(model_of(weights), options, events));
  CHECK(images.empty());
}

TEST_CASE("sampler: an exception thrown by an event ends the sampling") {
  int calls = 0;
  SampleEvents events;
  events.image_done = [&](int64_t, const Image&) {
    ++calls;
    throw std::runtime_error("disk full");
  };
  CHECK_THROWS_WITH(
      sample(model_of(small_model()), {.count = 100, .batch = 1, .threads = 2}, events),
      "disk full");
  CHECK(calls <= 2);
}

TEST_CASE("sampler: invalid options are Errors") {
  const Weights weights = small_model();
  const auto error = [&](const SampleOptions& options) {
    return error_of([&] { sample(model_of(weights), options, {}); });
  };
  CHECK(error({.count = 0}).starts_with("the number of images is 0; expected 1 to"));
  CHECK(error({.first_index = -1}).starts_with("the first image's index is -1"));
  CHECK(error({.count = 2, .first_index = std::numeric_limits<int64_t>::max() - 1})
            .starts_with("the first image's index is"));
  CHECK(error({.batch = 0}).starts_with("the batch is 0"));
  CHECK(error({.threads = 0}).starts_with("the number of threads is 0"));
  CHECK(error({.choice = {.temperature = -1}}).starts_with("temperature is -1"));

  ModelConfig grey = small_config(Tokens::subpixel, Attention::full, 2, 2);
  grey.image.channels = 1;
  Random random(1);
  const Weights grey_weights = random_weights(grey, random);
  CHECK(error_of([&] {
          sample(model_of(grey_weights), {}, {});
        }).starts_with("the model's images have 1 channels"));
}

TEST_CASE("sampler: overflowing weights are an Error rather than a garbage picture") {
  Weights weights = small_model();
  weights.values.fill(3e38f);
  CHECK(error_of([&] {
          sample(model_of(weights), {}, {});
        }).starts_with("the model's logit of value 0 is"));
}

}  // namespace combiner
