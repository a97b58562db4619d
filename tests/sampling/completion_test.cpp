#include "combiner/completion.h"

#include <atomic>
#include <map>
#include <utility>

#include "catch.h"
#include "error_of.h"
#include "model/random_model.h"
#include "model_of.h"

namespace combiner {
namespace {

using Images = std::map<int64_t, Image>;

constexpr int kWidth = 4, kHeight = 3;

Weights small_model(Tokens tokens, Attention attention) {
  Random random(9);
  return random_weights(small_config(tokens, attention, kHeight, kWidth), random);
}

SampleEvents collect(Images& images) {
  SampleEvents events;
  events.image_done = [&images](int64_t index, Image image) {
    REQUIRE(images.emplace(index, std::move(image)).second);
  };
  return events;
}

Images drawn(const Model& model, const SampleOptions& options) {
  Images images;
  REQUIRE(sample(model, options, collect(images)));
  return images;
}

Images completed(const Model& model, std::span<const Image> images, int rows,
                 const SampleOptions& options) {
  Images done;
  REQUIRE(complete(model, images, rows, options, collect(done)));
  return done;
}

std::vector<Image> random_images(int count) {
  Random random(4);
  std::vector<Image> images;
  for (int i = 0; i < count; ++i)
    images.push_back({kWidth, kHeight, random.bytes(3 * kWidth * kHeight)});
  return images;
}

}  // namespace

TEST_CASE("completion: an image of the model, cut off anywhere, is completed to itself") {
  const Precision precision = GENERATE(Precision::f32, Precision::bf16, Precision::int8);
  const Tokens tokens = GENERATE(Tokens::pixel, Tokens::subpixel);
  const Attention attention = GENERATE(from_range(std::begin(kAttentions), std::end(kAttentions)));
  const Model model = model_of(small_model(tokens, attention), precision);
  SampleOptions options{.count = 3, .first_index = 2, .seed = 5, .batch = 2};
  const Images samples = drawn(model, options);
  for (int rows = 0; rows < kHeight; ++rows)
    for (int64_t v = 0; v < options.count; ++v) {
      // The first picture's variation v uses the random numbers that drew sample v.
      const Image& sample = samples.at(options.first_index + v);
      const Images again = completed(model, {&sample, 1}, rows, options);
      REQUIRE(again.size() == 3);
      CHECK(again.at(v) == sample);
      if (rows == 0)
        for (int64_t other = 0; other < options.count; ++other)
          CHECK(again.at(other) == samples.at(options.first_index + other));
    }
}

TEST_CASE(
    "completion: keeps the known rows, whatever else is on the list, in a batch, on threads") {
  const Model model = model_of(small_model(Tokens::pixel, Attention::axial_rowmajor));
  const std::vector<Image> images = random_images(5);
  constexpr int kRows = 1, kVariations = 3;
  const SampleOptions alone{.count = kVariations, .seed = 8, .batch = 1, .threads = 1};
  for (const auto& [batch, threads] :
       {std::pair(1, 1), std::pair(2, 1), std::pair(3, 2), std::pair(64, 4)}) {
    CAPTURE(batch, threads);
    SampleOptions options = alone;
    options.batch = batch;
    options.threads = threads;
    const Images done = completed(model, images, kRows, options);
    REQUIRE(done.size() == images.size() * kVariations);
    for (size_t i = 0; i < images.size(); ++i) {
      SampleOptions own = alone;
      own.first_index = variation_stream(static_cast<int64_t>(i), 0);
      const Images expected = completed(model, {&images[i], 1}, kRows, own);
      for (int v = 0; v < kVariations; ++v) {
        const Image& image = done.at(static_cast<int64_t>(i) * kVariations + v);
        CHECK(image == expected.at(v));
        CHECK(std::equal(image.pixels.begin(), image.pixels.begin() + 3 * kWidth * kRows,
                         images[i].pixels.begin()));
        CHECK(image != images[i]);
      }
      CHECK(expected.at(0) != expected.at(1));
      // The same picture elsewhere on the list is completed with other random numbers.
      if (i > 0) CHECK(completed(model, {&images[i], 1}, kRows, alone) != expected);
    }
  }
}

TEST_CASE("completion: reports the rows that it draws") {
  const Model model = model_of(small_model(Tokens::pixel, Attention::axial_rowmajor));
  const std::vector<Image> images = random_images(2);
  Images done;
  SampleEvents events = collect(done);
  std::map<std::pair<int64_t, int>, std::vector<uint8_t>> rows;
  events.row_done = [&](int64_t index, int row, std::span<const uint8_t> pixels) {
    REQUIRE(rows.emplace(std::pair(index, row), std::vector(pixels.begin(), pixels.end())).second);
  };
  REQUIRE(complete(model, images, 1, {.count = 2, .threads = 2}, events));
  CHECK(rows.size() == 4 * (kHeight - 1));
  for (const auto& [place, pixels] : rows) {
    const auto& [index, row] = place;
    REQUIRE(row >= 1);
    CHECK(
        std::equal(pixels.begin(), pixels.end(), done.at(index).pixels.begin() + 3 * kWidth * row));
  }
}

TEST_CASE("completion: stops when cancelled, while known rows are decoded too") {
  const Model model = model_of(small_model(Tokens::pixel, Attention::axial_rowmajor));
  const std::vector<Image> images = random_images(4);
  for (const int allowed : {0, 1, 2, 3, 5, 8}) {
    Images done;
    SampleEvents events = collect(done);
    std::atomic<int> asked = 0;
    events.cancel = Cancel([&] { return asked++ >= allowed; });
    CHECK_FALSE(complete(model, images, 2, {.count = 1, .batch = 1}, events));
    CHECK(done.size() < images.size());
  }
}

TEST_CASE("completion: what can't be completed is an Error") {
  const Model model = model_of(small_model(Tokens::pixel, Attention::axial_rowmajor));
  const std::vector<Image> images = random_images(1);
  const auto error = [&](const Image& image, int rows, int64_t count) {
    return error_of([&] { complete(model, {&image, 1}, rows, {.count = count}, {}); });
  };
  CHECK_THAT(error(images[0], 3, 1), contains("expected 0 to 2"));
  CHECK_THAT(error(images[0], -1, 1), contains("expected 0 to 2"));
  CHECK_THAT(error(images[0], 1, 0), contains("the number of images is 0"));
  CHECK_THAT(error({3, 4, std::vector<uint8_t>(36)}, 1, 1), contains("3x4 pixels; expected 4x3"));
  CHECK_THAT(error({4, 3, std::vector<uint8_t>(35)}, 1, 1), contains("4x3"));
  CHECK_THAT(error_of([&] { complete(model, {}, 1, {.batch = 0}, {}); }),
             contains("the batch is 0"));
  CHECK(complete(model, {}, 1, {}, {}));
}

TEST_CASE("completion: variations of several images whose random numbers would be others' too") {
  const Model model = model_of(small_model(Tokens::pixel, Attention::axial_rowmajor));
  const std::vector<Image> images = random_images(2);
  constexpr int64_t kEnd = variation_stream(1, 0);
  const auto error = [&](const SampleOptions& options) {
    return error_of([&] { complete(model, images, 1, options, {}); });
  };
  CHECK_THAT(error({.count = 2, .first_index = kEnd - 1}),
             contains("2 variations of several images from index 4294967295 on"));
  CHECK_THAT(error({.count = kEnd + 1}), contains("expected all to be below 4294967296"));
  CHECK(completed(model, images, 1, {.count = 2, .first_index = kEnd - 2}).size() == 4);
  CHECK(completed(model, {images.data(), 1}, 1, {.count = 2, .first_index = kEnd - 1}).size() == 2);
}

}  // namespace combiner
