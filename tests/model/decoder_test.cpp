#include "model/decoder.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <fstream>
#include <string>
#include <utility>

#include "base/thread_team.h"
#include "catch.h"
#include "data_folders.h"
#include "instruction_sets.h"
#include "model/golden_cases.h"
#include "model/random_model.h"
#include "model/teacher_forcing.h"
#include "worse.h"

namespace combiner {
namespace {

// Decoding and the parallel pass compute the same sums in different orders. In float a few dozen
// roundings of 2^-24 differ along the way. In bfloat16 the order also decides now and then which of
// two neighbours, 2^-8 apart, a sum is rounded to, in a few places between the image and the
// logits. With tile registers the parallel pass also rounds the attention weights to 2^-8, so all
// of the about twenty roundings that follow may go to the other neighbour. A rounding is off by
// 2^-9 / sqrt(3) in the quadratic mean; two times twenty of them add up to 2^-7, and layer norms
// and softmaxes may magnify that up to four times. The worst of many logits is off by a few times
// more.
struct Tolerance {
  double logits;       // of any sub-pixel's logits, relative to their norm
  double mean_logits;  // in the quadratic mean over an image's sub-pixels
  double nats;         // of the image's total nats, in which differences cancel
};
template <class T>
Tolerance tolerance() {
  if (std::is_same_v<T, float>) return {1e-5, 1e-5, 1e-5};
  if (cpu_features().amx) return {0x1p-4, 0x1p-5, 1e-3};
  return {0x1p-7, 0x1p-8, 1e-4};
}

template <class T>
std::vector<float> parallel_logits(const ModelConfig& config, const ModelWeights& packed,
                                   const std::vector<uint8_t>& image) {
  std::vector<float> logits(image.size() * static_cast<size_t>(config.vocab_size));
  ImagePass<T>(config, packed, Pass::forward_only).logits(image.data(), logits.data());
  return logits;
}
template <class T>
std::vector<float> parallel_logits(const Weights& weights, const std::vector<uint8_t>& image,
                                   Precision precision = precision_of<T>) {
  return parallel_logits<T>(weights.config, packed_of(weights, precision), image);
}

double relative_error(std::span<const float> actual, std::span<const float> expected) {
  double difference = 0, norm = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    difference += std::pow(static_cast<double>(actual[i]) - expected[i], 2);
    norm += std::pow(static_cast<double>(expected[i]), 2);
  }
  return std::sqrt(difference / norm);
}

double sum_of_nats(std::span<const float> logits, const std::vector<uint8_t>& image) {
  const size_t vocab = logits.size() / image.size();
  double sum = 0;
  for (size_t i = 0; i < image.size(); ++i)
    sum += nats_of(logits.subspan(i * vocab, vocab), image[i]);
  return sum;
}

// Compares the logits of each sub-pixel, and the likelihood of the whole image.
void check_same(const std::vector<std::vector<float>>& decoded,
                const std::vector<std::vector<float>>& parallel,
                std::span<const std::vector<uint8_t>> images, const Tolerance& tolerance) {
  for (size_t i = 0; i < images.size(); ++i) {
    const std::vector<float>& expected = parallel[i];
    const size_t vocab = expected.size() / images[i].size();
    REQUIRE(decoded[i].size() == expected.size());
    double worst = 0, squares = 0;
    for (size_t at = 0; at < expected.size(); at += vocab) {
      const double error = relative_error(std::span(decoded[i]).subspan(at, vocab),
                                          std::span(expected).subspan(at, vocab));
      worst = worse(worst, error);
      squares += error * error;
    }
    const double mean = std::sqrt(squares / static_cast<double>(images[i].size()));
    INFO("image " << i << ", relative error of a sub-pixel's logits " << mean << ", worst "
                  << worst);
    CHECK(worst < tolerance.logits);
    CHECK(mean < tolerance.mean_logits);
    const double nats = sum_of_nats(expected, images[i]);
    const double error = std::abs(sum_of_nats(decoded[i], images[i]) / nats - 1);
    CHECK(error < tolerance.nats);
  }
}

template <class T>
std::vector<std::vector<float>> parallel_batch(const Weights& weights,
                                               std::span<const std::vector<uint8_t>> images,
                                               Precision precision = precision_of<T>) {
  std::vector<std::vector<float>> logits;
  for (const auto& image : images) logits.push_back(parallel_logits<T>(weights, image, precision));
  return logits;
}

template <class T>
void check_incremental_is_parallel(const Weights& weights,
                                   std::span<const std::vector<uint8_t>> images) {
  const auto check = [&] {
    check_same(decode_batch<T>(weights, images), parallel_batch<T>(weights, images), images,
               tolerance<T>());
  };
  check();
  const Capped without_amx(InstructionSet::avx512_bf16);
  if (cpu_features() != processor_features()) {
    INFO("without AMX");
    check();
  }
  if (std::is_same_v<T, float> || !cpu_features().avx512_bf16) return;
  const OtherDotProducts other;
  INFO(kernels_in_use(Precision::bf16));
  check();
}

// Configs that differ from the golden ones in size and combine other features.
ModelConfig with_rotary(ModelConfig config) {
  config.embed_dim = 24;
  config.rotary = RotaryConfig{100};
  return config;
}

std::vector<ModelConfig> odd_configs() {
  std::vector<ModelConfig> configs;
  for (const Tokens tokens : {Tokens::pixel, Tokens::subpixel})
    for (const Attention attention : kAttentions)
      for (const auto& [height, width] :
           {std::pair(1, 1), std::pair(1, 9), std::pair(7, 1), std::pair(6, 5)})
        configs.push_back(small_config(tokens, attention, height, width));

  for (const ModelConfig& config : std::vector(configs))
    if (supports_rotary(config.attention.front())) configs.push_back(with_rotary(config));

  ModelConfig wide = small_config(Tokens::pixel, Attention::axial_rowmajor, 5, 11);
  wide.embed_dim = 33;
  wide.num_heads = 3;
  wide.mlp_dim = 47;
  wide.num_layers = 3;
  wide.attention = {Attention::full, Attention::axial_rowmajor, Attention::full};
  wide.position = Position::learned;
  wide.context = {false, true};
  configs.push_back(wide);

  ModelConfig grey = small_config(Tokens::subpixel, Attention::axial_rowmajor, 4, 7);
  grey.image.channels = 1;
  grey.vocab_size = 17;
  grey.start_token = 3;
  grey.embed_dim = 8;
  grey.num_heads = 1;
  grey.activation = Activation::relu;
  grey.position = Position::sinusoidal;
  grey.context = {};
  grey.stem.reset();
  configs.push_back(grey);

  ModelConfig narrow = small_config(Tokens::pixel, Attention::axial_rowmajor, 4, 3);
  narrow.embed_dim = 1;
  narrow.num_heads = 1;
  narrow.mlp_dim = 1;
  configs.push_back(narrow);

  // Tile registers take four heads and 32 features of a head at a time.
  for (const auto& [dim, heads] : {std::pair(160, 5), std::pair(128, 2)}) {
    ModelConfig tiles = small_config(Tokens::pixel, Attention::axial_rowmajor, 4, 5);
    tiles.embed_dim = dim;
    tiles.num_heads = heads;
    configs.push_back(tiles);
  }
  return configs;
}

ModelConfig rotary_config(int height, int width) {
  return with_rotary(small_config(Tokens::pixel, Attention::axial_rowmajor, height, width));
}

std::string described(const ModelConfig& config) {
  return fmt::format("{} {} {}x{}x{}{}", name(config.tokens), name(config.attention.front()),
                     config.image.height, config.image.width, config.image.channels,
                     config.rotary ? " rotary" : "");
}

std::vector<std::vector<uint8_t>> random_images(const ModelConfig& config, size_t count) {
  Random random(7);
  std::vector<std::vector<uint8_t>> images;
  for (size_t i = 0; i < count; ++i) images.push_back(random_pixels(config, random));
  return images;
}

}  // namespace

TEMPLATE_TEST_CASE("decoder: incremental decoding equals the parallel pass, golden models", "",
                   float, bfloat16) {
  for (const GoldenCase& c : golden_cases()) {
    INFO(c.name);
    std::vector<std::vector<uint8_t>> images;
    for (size_t i = 0; i < c.images(); ++i) {
      const auto pixels = c.image(c.pixels, i);
      images.emplace_back(pixels.begin(), pixels.end());
    }
    check_incremental_is_parallel<TestType>(c.weights, images);
  }
}

TEMPLATE_TEST_CASE("decoder: incremental decoding equals the parallel pass, odd sizes", "", float,
                   bfloat16) {
  for (const ModelConfig& config : odd_configs()) {
    INFO(described(config));
    Random random(1);
    const Weights weights = random_weights(config, random);
    check_incremental_is_parallel<TestType>(weights, random_images(config, 2));
  }
}

// The promise that a seed's pictures are the same on every processor rests on this.
TEST_CASE("decoder: f32 has the same bits on every instruction set with fused multiply-add") {
  for (const ModelConfig& config : odd_configs()) {
    INFO(described(config));
    Random random(1);
    const Weights weights = random_weights(config, random);
    const std::vector<std::vector<uint8_t>> images = random_images(config, 2);
    check_same_bits([&] {
      std::vector<float> all;
      for (const std::vector<float>& logits : decode_batch<float>(weights, images))
        all.insert(all.end(), logits.begin(), logits.end());
      return all;
    });
  }
}

// Both passes round a product's inputs to multiples of the row's largest magnitude / 127. Where
// inputs differ in their last bits, they sometimes round to different multiples, and each such
// difference causes others. In the end the rounding errors of the two passes are independent. About
// twenty roundings of 1/200 each, added in squares, put either pass off the unrounded sums by 1/45,
// and put the two 1/32 apart. Layer norms and softmaxes may double that in an image's mean. If all
// of the test's 6,000 sub-pixels were alike, the worst would be off by four times the mean, because
// sqrt(2 ln 6000) is 4. The likelihood of an image here, with as few as 28 sub-pixels of 3 to 6
// nats each, is off by 1e-3. In float fewer inputs differ in the first place.
TEST_CASE("decoder: incremental decoding equals the parallel pass, int8 weights") {
  for (const ModelConfig& config : odd_configs()) {
    INFO(described(config));
    Random random(1);
    const Weights weights = random_weights(config, random);
    const auto images = random_images(config, 2);
    check_same(decode_batch<float>(weights, images, Precision::int8),
               parallel_batch<float>(weights, images, Precision::int8), images,
               {0x1p-4, 0x1p-4, 3e-3});
    check_same(decode_batch<bfloat16>(weights, images, Precision::int8),
               parallel_batch<bfloat16>(weights, images, Precision::int8), images,
               {0x1p-2, 0x1p-4, 3e-3});
  }
}

// The weights as packed_of packs them, but with summaries kept in a way of the test's choice.
ModelWeights packed_with(const Weights& weights, Precision precision, PackedFor use,
                         KeptSummaries summaries) {
  ThreadTeam team(2);
  const PackedParameters packed(weights.parameters, weights.values.data(), precision, use, team);
  return ModelWeights(weights.config, weights.parameters, packed, summaries);
}

// The median over an image's sub-pixels of the relative error of their logits.
double median_error(std::span<const float> actual, std::span<const float> expected, size_t vocab) {
  std::vector<double> errors;
  for (size_t at = 0; at < expected.size(); at += vocab)
    errors.push_back(relative_error(actual.subspan(at, vocab), expected.subspan(at, vocab)));
  const auto middle = errors.begin() + static_cast<std::ptrdiff_t>(errors.size() / 2);
  std::nth_element(errors.begin(), middle, errors.end());
  return *middle;
}

// With one layer the passes differ by roundings of float, except where an element is in the middle
// between two multiples, one in ten thousand, and they round it to different ones. That puts some
// sub-pixels off, but not the median. Summaries that are not rounded put all rows but the first
// off: in the quadratic mean an element by 1 / (127 sqrt(12)) of its row's largest magnitude.
TEST_CASE("decoder: the parallel pass rounds summaries to what decoding in int8 keeps") {
  ModelConfig config = small_config(Tokens::pixel, Attention::axial_rowmajor, 6, 5);
  config.num_layers = 1;
  config.attention.resize(1);
  Random random(1);
  const Weights weights = random_weights(config, random);
  const std::vector<std::vector<uint8_t>> images = random_images(config, 1);

  const auto check = [&](ModelWeights in_8_bits, const ModelWeights& rounded,
                         const ModelWeights& as_made) {
    Batch<float> batch(config, std::move(in_8_bits), 1);
    std::vector<std::vector<float>> decoded(1);
    decode<float>(batch.decoder, batch.states, images, config.positions(), decoded);
    const auto error = [&](const ModelWeights& parallel) {
      return median_error(parallel_logits<float>(config, parallel, images.front()), decoded.front(),
                          static_cast<size_t>(config.vocab_size));
    };
    CHECK(error(rounded) < 1e-5);
    CHECK(error(as_made) > 1e-4);
  };
  {
    INFO("weights in float");
    const auto packed = [&](PackedFor use, KeptSummaries summaries) {
      return packed_with(weights, Precision::f32, use, summaries);
    };
    check(packed(PackedFor::positions, KeptSummaries::in_8_bits),
          packed(PackedFor::images, KeptSummaries::rounded),
          packed(PackedFor::images, KeptSummaries::as_made));
  }
  INFO("an int8 model");
  check(packed_of(weights, Precision::int8, PackedFor::positions),
        packed_of(weights, Precision::int8),
        packed_with(weights, Precision::int8, PackedFor::images, KeptSummaries::as_made));
}

// The logits of each image, decoded without the others.
template <class T>
std::vector<std::vector<float>> decode_alone(const Weights& weights,
                                             std::span<const std::vector<uint8_t>> images,
                                             Precision precision) {
  std::vector<std::vector<float>> alone;
  for (size_t i = 0; i < images.size(); ++i)
    alone.push_back(decode_batch<T>(weights, images.subspan(i, 1), precision).front());
  return alone;
}

template <class T>
void check_batch(Precision precision) {
  for (const ModelConfig& config : odd_configs()) {
    Random random(2);
    const Weights weights = random_weights(config, random);
    const auto images = random_images(config, 5);
    const auto alone = decode_alone<T>(weights, images, precision);
    for (size_t batch = 2; batch <= images.size(); ++batch) {
      const auto together = decode_batch<T>(weights, std::span(images).first(batch), precision);
      for (size_t i = 0; i < batch; ++i) CHECK(together[i] == alone[i]);
    }
  }
}

TEST_CASE("decoder: the batch changes no bit of an image") {
  check_batch<float>(Precision::f32);
  check_batch<bfloat16>(Precision::bf16);
  check_batch<bfloat16>(Precision::int8);
}

// Two rows and a few positions, with rows of whole cache lines.
template <class T>
void check_many(Precision precision) {
  ModelConfig config = small_config(Tokens::pixel, Attention::axial_rowmajor, 256, 16);
  config.embed_dim = 64;
  constexpr size_t kImages = 40;
  constexpr int64_t kSteps = 2 * 16 + 3;
  Random random(3);
  const Weights weights = random_weights(config, random);
  const auto images = random_images(config, kImages);
  Batch<T> many(weights, kImages, 1, precision);
  REQUIRE(kImages * static_cast<DecodeState<T>*>(many.states.front())->bytes() > size_t{16} << 20);
  std::vector<std::vector<float>> together(kImages);
  decode<T>(many.decoder, many.states, images, kSteps, together);
  for (const size_t i : {size_t{0}, kImages - 1}) {
    Batch<T> one(weights, 1, 1, precision);
    std::vector<std::vector<float>> alone(1);
    decode<T>(one.decoder, one.states, std::span(images).subspan(i, 1), kSteps, alone);
    CHECK(together[i] == alone.front());
  }
}

TEST_CASE("decoder: images whose states exceed the caches equal each decoded alone") {
  check_many<float>(Precision::f32);
  check_many<bfloat16>(Precision::bf16);
  check_many<bfloat16>(Precision::int8);
}

// More images than are processed at a time; those of the last band are ahead of the others.
template <class T>
void check_bands(Precision precision) {
  const ModelConfig config = rotary_config(3, 4);
  constexpr size_t kBand = kPositionsAtOnce, kLast = 3;
  constexpr int64_t kAhead = 2;
  Random random(10);
  const Weights weights = random_weights(config, random);
  const auto images = random_images(config, kBand + kLast);
  const std::span<const std::vector<uint8_t>> known(images);
  Batch<T> batch(weights, images.size(), 1, precision);
  std::vector<std::vector<float>> together(images.size());
  decode<T>(batch.decoder, std::span(batch.states).last(kLast), known.last(kLast), kAhead,
            std::span(together).last(kLast));
  decode<T>(batch.decoder, batch.states, images, config.positions() - kAhead, together);
  for (const size_t i : {size_t{0}, kBand - 1, kBand, kBand + kLast - 1}) {
    INFO("image " << i);
    std::vector<float> alone = decode_batch<T>(weights, known.subspan(i, 1), precision).front();
    if (i < kBand) alone.resize(together[i].size());  // the image is not complete
    CHECK(together[i] == alone);
  }
}

TEST_CASE("decoder: images of several bands equal each decoded alone") {
  check_bands<float>(Precision::f32);
  check_bands<bfloat16>(Precision::bf16);
  check_bands<bfloat16>(Precision::int8);
}

template <class T>
void check_team(Precision precision) {
  for (const ModelConfig& config : odd_configs()) {
    Random random(8);
    const Weights weights = random_weights(config, random);
    const auto images = random_images(config, 3);
    const auto expected = decode_batch<T>(weights, images, precision);
    for (const int team : {2, 3}) {
      Batch<T> batch(weights, images.size(), team, precision);
      std::vector<std::vector<float>> logits(images.size());
      ThreadTeam(team).run([&](int rank) {
        for (int64_t i = 0; i < config.positions(); ++i)
          batch.decoder.step(batch.states, forced(images, logits), rank);
      });
      CHECK(logits == expected);
    }
  }
}

TEST_CASE("decoder: a team changes no bit of an image") {
  check_team<float>(Precision::f32);
  check_team<bfloat16>(Precision::bf16);
  check_team<bfloat16>(Precision::int8);
}

// The second image is 2 positions ahead of the first, and the third 5.
template <class T>
void check_team_at_different_positions(Precision precision) {
  const ModelConfig config = rotary_config(4, 3);
  Random random(11);
  const Weights weights = random_weights(config, random);
  const auto images = random_images(config, 3);
  const auto expected = decode_alone<T>(weights, images, precision);
  for (const int team : {2, 3}) {
    INFO("a team of " << team);
    Batch<T> batch(weights, images.size(), team, precision);
    std::vector<std::vector<float>> logits(images.size());
    ThreadTeam(team).run([&](int rank) {
      const auto steps = [&](int64_t number, size_t first, size_t count) {
        for (int64_t i = 0; i < number; ++i)
          batch.decoder.step(std::span(batch.states).subspan(first, count),
                             forced(std::span(images).subspan(first, count),
                                    std::span(logits).subspan(first, count)),
                             rank);
      };
      steps(3, 2, 1);
      steps(2, 1, 2);
      steps(config.positions() - 5, 0, 3);
      steps(3, 0, 2);
      steps(2, 0, 1);
    });
    CHECK(logits == expected);
  }
}

TEST_CASE("decoder: a team of images at different positions, rotary") {
  check_team_at_different_positions<float>(Precision::f32);
  check_team_at_different_positions<bfloat16>(Precision::bf16);
  check_team_at_different_positions<bfloat16>(Precision::int8);
}

TEST_CASE("decoder: when a thread throws, its team stops waiting") {
  Random random(9);
  const Weights weights =
      random_weights(small_config(Tokens::pixel, Attention::axial_rowmajor, 2, 2), random);
  Batch<float> batch(weights, 1, 2);
  const auto fail = [](size_t, int64_t, std::span<const float>) -> uint8_t {
    throw std::runtime_error("no choice");
  };
  std::atomic<int> broken = 0;
  CHECK_THROWS_WITH(ThreadTeam(2).run([&](int rank) {
    try {
      batch.decoder.step(batch.states, fail, rank);
    } catch (const BrokenBarrier&) {
      ++broken;
    } catch (...) {
      batch.decoder.abandon();
      throw;
    }
  }),
                    "no choice");
  CHECK(broken == 1);
}

TEMPLATE_TEST_CASE("decoder: the images of a batch may stand at different positions", "", float,
                   bfloat16) {
  Random random(3);
  const Weights weights =
      random_weights(small_config(Tokens::pixel, Attention::axial_rowmajor, 4, 3), random);
  const int64_t positions = weights.config.positions();
  const auto images = random_images(weights.config, 2);
  const auto expected = decode_batch<TestType>(weights, images);

  Batch<TestType> batch(weights, 2);
  std::vector<std::vector<float>> logits(2);
  const std::span<ImageState* const> states(batch.states);
  const std::span<const std::vector<uint8_t>> known(images);
  decode<TestType>(batch.decoder, states.first(1), known.first(1), 5, logits);
  decode<TestType>(batch.decoder, states, known, positions - 5, logits);
  decode<TestType>(batch.decoder, states.last(1), known.last(1), 5, std::span(logits).last(1));
  CHECK(logits == expected);
}

TEMPLATE_TEST_CASE("decoder: a clone continues exactly as the original", "", float, bfloat16) {
  for (const Attention attention : kAttentions) {
    Random random(4);
    const Weights weights = random_weights(small_config(Tokens::pixel, attention, 5, 4), random);
    const auto images = random_images(weights.config, 2);
    // The second image shares its beginning with the first, up to the middle of a row, and then
    // differs.
    const int64_t shared = 10;
    std::vector<std::vector<uint8_t>> branches = {images[0], images[1]};
    std::copy_n(images[0].begin(), 3 * shared, branches[1].begin());
    const auto expected = decode_batch<TestType>(weights, branches);

    Batch<TestType> batch(weights, 1);
    std::vector<std::vector<float>> logits(1);
    decode<TestType>(batch.decoder, batch.states, branches, shared, logits);
    batch.add(batch.states[0]->clone());
    logits.push_back(logits[0]);
    for (size_t i = 0; i < 2; ++i)
      decode<TestType>(batch.decoder, std::span(batch.states).subspan(i, 1),
                       std::span(branches).subspan(i, 1), weights.config.positions() - shared,
                       std::span(logits).subspan(i, 1));
    CHECK(logits == expected);
    CHECK(std::ranges::equal(batch.states[1]->pixels, branches[1]));
  }
}

TEMPLATE_TEST_CASE("decoder: a state can start a new image", "", float, bfloat16) {
  for (const Attention attention : kAttentions) {
    Random random(5);
    const Weights weights = random_weights(small_config(Tokens::subpixel, attention, 3, 3), random);
    const auto images = random_images(weights.config, 2);
    Batch<TestType> batch(weights, 1);
    std::vector<std::vector<float>> logits(1);
    decode<TestType>(batch.decoder, batch.states, images, weights.config.positions() - 2, logits);
    batch.states[0]->position = 0;
    logits[0].clear();
    const std::span<const std::vector<uint8_t>> second(&images[1], 1);
    decode<TestType>(batch.decoder, batch.states, second, weights.config.positions(), logits);
    CHECK(logits == decode_batch<TestType>(weights, second));
  }
}

TEST_CASE("decoder: refuses more images than it was made for, and complete images") {
  Random random(6);
  const Weights weights =
      random_weights(small_config(Tokens::pixel, Attention::axial_rowmajor, 2, 2), random);
  Batch<float> batch(weights, 1);
  const auto zero = [](size_t, int64_t, std::span<const float>) { return uint8_t{0}; };
  for (int i = 0; i < 4; ++i) batch.decoder.step(batch.states, zero);
  CHECK_THROWS_WITH(batch.decoder.step(batch.states, zero), contains("complete"));
  batch.states[0]->position = 0;
  batch.add(batch.states[0]->clone());
  CHECK_THROWS_WITH(batch.decoder.step(batch.states, zero), contains("more images"));
}

TEST_CASE("decoder: the prototype's likelihood of real images") {
  const auto folder = shared_folder() / "weights";
  const auto records = shared_folder() / "data/cifar-10/data_batch_5.bin";
  if (!std::filesystem::exists(folder) || !std::filesystem::exists(records))
    SKIP_TEST("no " << folder << " or no " << records);
  const Weights weights = load_weights(folder / "cifar10-prototype.safetensors");

  // The table covers the last 500 records. A record is a label and three planes of pixels.
  constexpr size_t kImages = 4, kPixels = 1024, kRecord = 1 + 3 * kPixels;
  std::ifstream file(records, std::ios::binary);
  file.seekg(-500 * static_cast<std::streamoff>(kRecord), std::ios::end);
  std::vector<std::vector<uint8_t>> images(kImages, std::vector<uint8_t>(3 * kPixels));
  for (std::vector<uint8_t>& image : images) {
    std::array<char, kRecord> record;
    REQUIRE(file.read(record.data(), record.size()));
    for (size_t i = 0; i < image.size(); ++i)
      image[i] = static_cast<uint8_t>(record[1 + i % 3 * kPixels + i / 3]);
  }

  std::ifstream table(folder / "cifar10-prototype-nats.csv");
  std::string line;
  std::getline(table, line);
  const auto logits = decode_batch<float>(weights, images);
  for (size_t i = 0; i < kImages; ++i) {
    size_t record;
    double red, green, blue;
    char comma;
    REQUIRE(table >> record >> comma >> red >> comma >> green >> comma >> blue);
    REQUIRE(record == i);
    const double expected = red + green + blue;
    const double error = sum_of_nats(logits[i], images[i]) / expected - 1;
    INFO("record " << i << ": " << expected << " nats, relative error " << error);
    CHECK(std::abs(error) < 1e-5);
  }
}

}  // namespace combiner
