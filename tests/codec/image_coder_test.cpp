#include "codec/image_coder.h"

#include <stdexcept>

#include "catch.h"
#include "error_of.h"
#include "instruction_sets.h"
#include "model/random_model.h"
#include "model_of.h"

namespace combiner {
namespace {

constexpr int kWidth = 5, kHeight = 4;

Weights some_weights(uint64_t seed, int vocab_size = 256) {
  Random random(seed);
  ModelConfig config = small_config(Tokens::pixel, Attention::axial, kHeight, kWidth);
  config.vocab_size = vocab_size;
  return random_weights(config, random);
}

std::vector<Image> some_images(size_t count, uint64_t seed = 1) {
  Random random(seed);
  std::vector<Image> images(count);
  for (Image& image : images) image = {kWidth, kHeight, random.bytes(3 * kWidth * kHeight)};
  return images;
}

using Streams = std::vector<std::vector<uint8_t>>;

std::vector<Image> decoded(const Model& model, const CodingOptions& options,
                           const Streams& streams) {
  const std::vector<std::span<const uint8_t>> spans(streams.begin(), streams.end());
  return ImageCoder(model, options).decode(spans);
}

TEST_CASE("Image coder: the same streams for any batch, threads and instructions, both ways") {
  const Weights weights = some_weights(1);
  const std::vector<Image> images = some_images(7);
  Streams expected;
  for_each_instruction_set([&] {
    if (!fuses_multiply_add()) return;
    const Model model = model_of(weights);
    for (const CodingOptions& options :
         {CodingOptions{32, 1}, CodingOptions{1, 2}, CodingOptions{3, 2}}) {
      const Streams streams = ImageCoder(model, options).encode(images);
      if (expected.empty()) expected = streams;
      REQUIRE(streams == expected);
      REQUIRE(decoded(model, options, expected) == images);
    }
  });
}

TEST_CASE("Image coder: all precisions, and models of sub-pixels") {
  const std::vector<Image> images = some_images(4);
  for (const Precision precision : kPrecisions) {
    const Model model = model_of(some_weights(2), precision);
    CHECK(decoded(model, {}, ImageCoder(model, {}).encode(images)) == images);
  }
  Random random(3);
  const Model model = model_of(
      random_weights(small_config(Tokens::subpixel, Attention::axial, kHeight, kWidth), random));
  CHECK(decoded(model, {}, ImageCoder(model, {}).encode(images)) == images);
}

// A stream that decodes must be the one that its image is encoded to.
void check_refused(const Model& model, const Streams& streams, const std::vector<Image>& images) {
  const std::vector<Image> found = decoded(model, {}, streams);
  for (size_t i = 0; i < streams.size(); ++i) {
    if (found[i].pixels.empty()) continue;
    CHECK(found[i] != images[i]);
    CHECK(ImageCoder(model, {}).encode(std::span(found).subspan(i, 1)).front() == streams[i]);
  }
}

TEST_CASE("Image coder: a stream of another model, or damaged, is not taken for the image") {
  const Weights weights = some_weights(4);
  const Model model = model_of(weights);
  const std::vector<Image> images = some_images(6);
  const Streams streams = ImageCoder(model, {}).encode(images);

  // The logits of another model are others.
  Weights changed = weights.clone();
  for (const Parameter& parameter : changed.parameters.list)
    if (parameter.name.starts_with("head")) changed.values.data()[parameter.offset] += 0.5F;
  check_refused(model_of(changed), streams, images);

  Random random(5);
  int refused = 0;
  for (int i = 0; i < 20; ++i) {
    Streams damaged = streams;
    for (std::vector<uint8_t>& stream : damaged) {
      const size_t kind = random.below(3);
      if (kind == 0)
        stream[random.below(stream.size())] ^= static_cast<uint8_t>(1 + random.below(255));
      else if (kind == 1)
        stream.resize(random.below(stream.size()));
      else
        stream.push_back(static_cast<uint8_t>(random.below(256)));
    }
    check_refused(model, damaged, images);
    for (const Image& image : decoded(model, {}, damaged)) refused += image.pixels.empty();
  }
  CHECK(refused > 115);
}

TEST_CASE("Image coder: what it is told while it works, and stopping") {
  const Model model = model_of(some_weights(6));
  const std::vector<Image> images = some_images(5);
  ImageCoder coder(model, {2, 2});
  int rows = 0;
  size_t bytes = 0, size = 0;
  CodingEvents events;
  events.row_done = [&] { ++rows; };
  events.stream_done = [&](size_t more) { bytes += more; };
  const Streams streams = coder.encode(images, events);
  for (const auto& stream : streams) size += stream.size();
  CHECK(rows == 5 * kHeight);
  CHECK(bytes == size);
  const CodingEvents stop = {.cancel = Cancel([] { return true; })};
  CHECK(coder.encode(images, stop).empty());
  const std::vector<std::span<const uint8_t>> spans(streams.begin(), streams.end());
  CHECK(coder.decode(spans, stop).empty());
  CHECK(coder.decode(spans) == images);
  // Cancelled in the third image, it gives those before.
  ImageCoder one_by_one(model, {1, 1});
  int rows_decoded = 0;
  CodingEvents third;
  third.row_done = [&] { ++rows_decoded; };
  third.cancel = Cancel([&] { return rows_decoded >= 2 * kHeight + 1; });
  CHECK(one_by_one.decode(spans, third) == std::vector<Image>(images.begin(), images.begin() + 2));
  CHECK(coder.encode({}).empty());
  CHECK(coder.decode({}).empty());
}

TEST_CASE("Image coder: images that the model has no streams for") {
  const Model model = model_of(some_weights(7, 16));
  std::vector<Image> images = {{kWidth, kHeight, std::vector<uint8_t>(60, 15)}};
  CHECK(decoded(model, {}, ImageCoder(model, {}).encode(images)) == images);
  images[0].pixels[7] = 16;
  CHECK_THAT(error_of([&] { ImageCoder(model, {}).encode(images); }),
             contains("a sub-pixel of 16; the model knows values below 16"));
  images[0] = {kHeight, kWidth, std::vector<uint8_t>(60)};
  CHECK_THROWS_AS(ImageCoder(model, {}).encode(images), std::invalid_argument);
}

}  // namespace
}  // namespace combiner
