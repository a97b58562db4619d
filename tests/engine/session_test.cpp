#include "combiner/session.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <optional>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "catch.h"
#include "model/random_model.h"
#include "model/teacher_forcing.h"
#include "model_of.h"

namespace combiner {
namespace {

Weights small_weights(Attention attention = Attention::axial_rowmajor) {
  Random random(1);
  ModelConfig config = small_config(Tokens::pixel, attention, 4, 3);
  return random_weights(config, random);
}

// The logits of an image that is decoded alone.
std::vector<float> alone(const Weights& weights, const std::vector<uint8_t>& image,
                         Precision precision) {
  const std::span images(&image, 1);
  return precision == Precision::f32 ? decode_batch<float>(weights, images, precision).front()
                                     : decode_batch<bfloat16>(weights, images, precision).front();
}

}  // namespace

TEST_CASE("session: images come, go and are cloned while others are decoded") {
  for (const Precision precision : kPrecisions) {
    const Weights weights = small_weights();
    const Model model = model_of(weights, precision);
    const int64_t positions = weights.config.positions();
    Random random(2);
    std::vector<std::vector<uint8_t>> pixels;
    for (int i = 0; i < 4; ++i) pixels.push_back(random_pixels(weights.config, random));
    // State 3 is cloned from state 0 at position 5, so their images agree up to there.
    std::copy_n(pixels[0].begin(), 3 * 5, pixels[3].begin());

    Session session(model, 3);
    std::vector<std::vector<float>> logits(4);
    std::vector<std::unique_ptr<ImageState>> states(4);
    const auto step = [&](std::vector<size_t> which) {
      std::vector<ImageState*> batch;
      for (const size_t i : which) batch.push_back(states[i].get());
      session.step(batch, [&](size_t at, int64_t subpixel, std::span<const float> of_subpixel) {
        const size_t i = which[at];
        logits[i].insert(logits[i].end(), of_subpixel.begin(), of_subpixel.end());
        return pixels[i][static_cast<size_t>(subpixel)];
      });
    };
    states[0] = session.new_image();
    for (int i = 0; i < 2; ++i) step({0});
    states[1] = session.new_image();
    for (int i = 0; i < 3; ++i) step({1, 0});
    states[3] = states[0]->clone();
    logits[3] = logits[0];
    states[2] = session.new_image();
    for (int i = 0; i < 4; ++i) step({2, 0, 3});
    states[1].reset();
    while (states[0]->position < positions) step({3, 0});
    while (states[2]->position < positions) step({2});

    for (const size_t i : {0, 2, 3}) {
      CHECK(logits[i] == alone(weights, pixels[i], precision));
      CHECK(std::ranges::equal(states[i]->pixels, pixels[i]));
    }
  }
}

TEST_CASE("session: decoding after a prefill gives the same logits as decoding from the start") {
  for (const Precision precision : kPrecisions)
    for (const Attention attention : kAttentions) {
      const Weights weights = small_weights(attention);
      const Model model = model_of(weights, precision);
      Random random(3);
      const std::vector<uint8_t> pixels = random_pixels(weights.config, random);
      const std::vector<float> expected = alone(weights, pixels, precision);
      constexpr int kRows = 2;
      Session session(model, 1);
      const std::unique_ptr<ImageState> image = session.new_image();
      ImageState* const images[] = {image.get()};
      const ImageShape& shape = weights.config.image;
      session.prefill(images, std::array{Image{shape.width, shape.height, pixels}}, kRows);
      CHECK(image->position == kRows * weights.config.columns());
      CHECK(
          std::equal(pixels.begin(), pixels.begin() + 3 * image->position, image->pixels.begin()));

      std::vector<std::vector<float>> logits(1);
      while (image->position < weights.config.positions())
        session.step(images, forced(std::span(&pixels, 1), logits));
      const std::vector<float> rest(expected.end() - std::ssize(logits[0]), expected.end());
      CHECK(logits[0] == rest);
    }
}

TEST_CASE("session: a prefill ends before any position when it is asked to") {
  const Weights weights = small_weights();
  const Model model = model_of(weights);
  const ImageShape& shape = weights.config.image;
  Random random(3);
  const std::vector<Image> known = {
      {shape.width, shape.height, random_pixels(weights.config, random)}};
  Session session(model, 1);
  const auto image = session.new_image();
  ImageState* const images[] = {image.get()};
  int polls = 0;
  const Cancel cancel([&] { return ++polls > 2; });
  CHECK_THROWS_AS(session.prefill(images, known, 2, cancel), Cancelled);
  CHECK(image->position == 2);
  polls = -100;
  session.prefill(images, known, 2, cancel);
  CHECK(image->position == 2 * weights.config.columns());
}

TEST_CASE("session: a prefill with what does not fit is refused") {
  const Weights weights = small_weights();
  const Model model = model_of(weights);
  const ImageShape& shape = weights.config.image;
  Random random(3);
  const std::vector<Image> known(
      2, Image{shape.width, shape.height, random_pixels(weights.config, random)});
  Session session(model, 2);
  const auto first = session.new_image(), second = session.new_image();
  ImageState* const images[] = {first.get(), second.get()};
  CHECK_THROWS_AS(session.prefill(images, {known.data(), 1}, 1), std::invalid_argument);
  CHECK_THROWS_AS(session.prefill(images, std::vector(2, Image{1, 1, {1, 2, 3}}), 1),
                  std::invalid_argument);
  const std::vector<Image> turned(2, Image{shape.height, shape.width, known[0].pixels});
  CHECK_THROWS_AS(session.prefill(images, turned, 1), std::invalid_argument);
  for (const int rows : {-1, shape.height + 1})
    CHECK_THROWS_AS(session.prefill(images, known, rows), std::invalid_argument);
  CHECK(first->position == 0);
  session.prefill({}, {}, 1);
  session.prefill({images, 1}, {known.data(), 1}, 1);
  CHECK_THROWS_AS(session.prefill(images, known, 2), std::invalid_argument);
  session.prefill({images, 1}, {known.data(), 1}, shape.height);
  CHECK(first->position == weights.config.positions());

  Session team(model, 1, 2);
  CHECK_THROWS_AS(team.prefill({images, 1}, {known.data(), 1}, 1), std::invalid_argument);
}

TEST_CASE("session: a batch of no images and a team of no threads are refused") {
  const Model model = model_of(small_weights());
  for (const auto& [batch, team] : {std::pair(0, 1), std::pair(-1, 1), std::pair(1, 0)})
    CHECK_THROWS_AS(Session(model, batch, team), std::invalid_argument);
}

TEST_CASE("session: goes on when its model is moved or gone") {
  for (const Precision precision : kPrecisions) {
    const Weights weights = small_weights();
    Random random(3);
    const std::vector<uint8_t> pixels = random_pixels(weights.config, random);
    std::optional<Model> model = model_of(weights, precision);
    Session session(*model, 1);
    const Model moved = std::move(*model);
    model.reset();
    CHECK(&moved.at(precision).for_positions() == &moved.for_positions());
    const std::unique_ptr<ImageState> image = session.new_image();
    ImageState* const images[] = {image.get()};
    std::vector<std::vector<float>> logits(1);
    while (image->position < weights.config.positions())
      session.step(images, forced(std::span(&pixels, 1), logits));
    CHECK(logits[0] == alone(weights, pixels, precision));
    CHECK(Session(model_of(weights, precision), 1).new_image()->position == 0);
  }
}

TEST_CASE("session: a step whose choice throws may be repeated") {
  for (const Attention attention : kAttentions) {
    const Weights weights = small_weights(attention);
    const Model model = model_of(weights);
    Random random(3);
    const std::vector<uint8_t> pixels = random_pixels(weights.config, random);
    Session session(model, 1);
    const std::unique_ptr<ImageState> image = session.new_image();
    ImageState* const images[] = {image.get()};
    const auto refuse_blue = [](size_t, int64_t subpixel, std::span<const float>) -> uint8_t {
      if (subpixel % 3 == 2) throw std::runtime_error("no");
      return 7;
    };
    std::vector<std::vector<float>> logits(1);
    while (image->position < weights.config.positions()) {
      const int64_t position = image->position;
      CHECK_THROWS_AS(session.step(images, refuse_blue), std::runtime_error);
      CHECK(image->position == position);
      session.step(images, forced(std::span(&pixels, 1), logits));
    }
    CHECK(logits[0] == alone(weights, pixels, Precision::f32));
  }
}

TEST_CASE("model: threads that ask for packed weights at the same time share them") {
  const Weights weights = small_weights();
  const Model model = model_of(weights);
  std::vector<const ModelWeights*> packed(4);
  std::vector<std::jthread> threads;
  for (const ModelWeights*& place : packed)
    threads.emplace_back([&] { place = &model.for_images(); });
  threads.clear();
  for (const ModelWeights* place : packed) CHECK(place == packed.front());
  CHECK(&model.for_positions() != packed.front());
}

}  // namespace combiner
