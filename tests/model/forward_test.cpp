#include <cmath>
#include <fstream>
#include <numbers>
#include <numeric>
#include <string>

#include "catch.h"
#include "data_folders.h"
#include "error_bounds.h"
#include "golden_cases.h"
#include "model/model.h"
#include "model_of.h"
#include "random_model.h"
#include "reference_model.h"
#include "temp_folder.h"
#include "weights/weights_file.h"

namespace combiner {
namespace {

template <class T>
constexpr Precision kPrecision = Precision::f32;
template <>
constexpr Precision kPrecision<bfloat16> = Precision::bf16;

// The project's requirement for single precision, in the norm of all logits.
constexpr double kFloatTolerance = 1e-5;

// In bfloat16 both factors of each product are rounded independently: ten products per block and
// five in the head. Doubling the sum of these errors leaves room for layer norms and softmaxes,
// which magnify them.
double bfloat16_tolerance(const ModelConfig& config) {
  return 2 * std::sqrt(2 * (10 * config.num_layers + 5)) * kBfloat16Unit;
}

// A model with its forward pass.
template <class T>
class Forward {
 public:
  explicit Forward(const Weights& weights, Precision precision = kPrecision<T>)
      : config_(weights.config),
        packed_(packed_of(weights, precision)),
        forward_(config_, packed_, Pass::forward_only) {}

  std::vector<float> logits(const uint8_t* pixels) {
    std::vector<float> out(static_cast<size_t>(config_.dims()) *
                           static_cast<size_t>(config_.vocab_size));
    forward_.logits(pixels, out.data());
    return out;
  }
  std::vector<float> nats(const uint8_t* pixels) {
    std::vector<float> out(static_cast<size_t>(config_.dims()));
    forward_.nll(pixels, out.data());
    return out;
  }

 private:
  const ModelConfig& config_;
  const ModelWeights packed_;
  ImagePass<T> forward_;
};

// Relative to the norm of all logits.
template <class Expected>
double relative_error(const std::vector<float>& actual, const Expected& expected) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    const double e = expected[i];
    error += (actual[i] - e) * (actual[i] - e);
    norm += e * e;
  }
  return std::sqrt(error / norm);
}

// Nats are the log-sum-exp of all logits minus one logit. They are off by at most twice the worst
// logit's error, plus their own rounding.
template <class Logits, class Nats>
double worst_nats_error(const std::vector<float>& logits, const Logits& expected_logits,
                        const std::vector<float>& nats, const Nats& expected_nats) {
  double logit_error = 0, size = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    logit_error = std::max(logit_error, std::abs(double{logits[i]} - expected_logits[i]));
    size = std::max(size, std::abs(double{expected_logits[i]}));
  }
  const double vocab = static_cast<double>(logits.size()) / static_cast<double>(nats.size());
  ErrorBounds bounds;
  for (size_t t = 0; t < nats.size(); ++t)
    bounds.add(nats[t], expected_nats[t], 2 * logit_error + kFloatUnit * (vocab + 10 + 4 * size));
  return bounds.worst();
}

template <class T>
void check_golden(double (*tolerance)(const ModelConfig&)) {
  for (const GoldenCase& c : golden_cases()) {
    INFO(c.name);
    Forward<T> forward(c.weights);
    for (size_t image = 0; image < c.images(); ++image) {
      const uint8_t* pixels = c.image(c.pixels, image).data();
      const std::vector<float> logits = forward.logits(pixels);
      const std::vector<float> nats = forward.nats(pixels);
      const std::span<const float> golden_logits = c.image(c.logits, image);
      const std::span<const float> golden_nats = c.image(c.nats, image);
      REQUIRE(logits.size() == golden_logits.size());
      CHECK(relative_error(logits, golden_logits) < tolerance(c.weights.config));
      CHECK(worst_nats_error(logits, golden_logits, nats, golden_nats) <= 1.0);
    }
  }
}

TEST_CASE("The forward pass in float agrees with the golden files") {
  check_golden<float>([](const ModelConfig&) { return kFloatTolerance; });
}

TEST_CASE("The forward pass in bfloat16 is near the golden files") {
  check_golden<bfloat16>(bfloat16_tolerance);
}

struct Size {
  int height, width;
};

TEST_CASE("The forward pass agrees with the reference at odd sizes") {
  // The last sizes have more positions than are processed at a time, and longer rows.
  for (const Size size : {Size{1, 1}, {1, 7}, {7, 1}, {2, 3}, {3, 50}, {13, 50}, {2, 520}})
    for (const Attention attention : kAttentions)
      for (const Tokens tokens : {Tokens::pixel, Tokens::subpixel}) {
        ModelConfig config = small_config(tokens, attention, size.height, size.width);
        // The reference takes time proportional to the square of the positions.
        if (config.positions() > 1100) continue;
        Random random(1);
        const Weights weights = random_weights(config, random);
        const std::vector<uint8_t> pixels = random_pixels(config, random);
        const std::vector<double> values = to_doubles(weights);
        std::vector<double> expected, expected_nats;
        for (const auto& row :
             reference::logits(config, weights.parameters, values, pixels.data())) {
          expected.insert(expected.end(), row.begin(), row.end());
          expected_nats.push_back(reference::nats(row, pixels[expected_nats.size()]));
        }
        INFO(size.height << " x " << size.width << ", " << name(tokens) << ", " << name(attention));

        Forward<float> forward(weights);
        const std::vector<float> logits = forward.logits(pixels.data());
        CHECK(relative_error(logits, expected) < kFloatTolerance);
        CHECK(worst_nats_error(logits, expected, forward.nats(pixels.data()), expected_nats) <=
              1.0);

        const double halves =
            relative_error(Forward<bfloat16>(weights).logits(pixels.data()), expected);
        CHECK(halves < bfloat16_tolerance(config));
        CHECK(halves > kFloatTolerance);  // proves that it was computed in bfloat16
      }
}

TEST_CASE("The forward pass in int8 equals that of the same model saved as I8") {
  const TempFolder folder;
  for (const Tokens tokens : {Tokens::pixel, Tokens::subpixel}) {
    Random random(11);
    const Weights weights =
        random_weights(small_config(tokens, Attention::axial_rowmajor, 4, 5), random);
    const std::vector<uint8_t> pixels = random_pixels(weights.config, random);
    save_weights(weights, DType::i8, folder / "w");
    const Weights saved = load_weights(folder / "w");
    const std::vector<float> int8 =
        Forward<bfloat16>(weights, Precision::int8).logits(pixels.data());
    CHECK(int8 == Forward<bfloat16>(saved, Precision::int8).logits(pixels.data()));
    // In float the same weights get unrounded inputs. An input in int8 is off by its row's largest
    // magnitude / 127 / sqrt(12) on average, about 1/200 of its size. Over the 21 products this
    // adds up to 1/40. Twice that leaves room for layer norms and softmaxes, which magnify it.
    const std::vector<float> exact = Forward<float>(saved).logits(pixels.data());
    CHECK(int8 != exact);
    CHECK(relative_error(int8, exact) < 0.05);

    // It is also close to the original model, whose weights int8 rounds by as much again.
    const std::vector<float> f32 = Forward<float>(weights).logits(pixels.data());
    CHECK(int8 != f32);
    CHECK(relative_error(int8, f32) < 0.05 * std::numbers::sqrt2);
  }
}

TEST_CASE("A forward pass does not depend on the images before it") {
  const ModelConfig config = small_config(Tokens::pixel, Attention::axial_rowmajor, 13, 50);
  Random random(2);
  const Weights weights = random_weights(config, random);
  const std::vector<uint8_t> first = random_pixels(config, random);
  const std::vector<uint8_t> second = random_pixels(config, random);
  Forward<float> forward(weights);
  const std::vector<float> before = forward.logits(first.data());
  forward.logits(second.data());
  const bool same = forward.logits(first.data()) == before;  // too many values for CHECK to print
  CHECK(same);
}

// ---- Causality

// Changes byte t of an image. Counts the logits whose bits change: those at or before byte t, and
// those after it.
struct Changes {
  size_t before = 0, after = 0;
};

template <class T>
Changes changes(Forward<T>& forward, const std::vector<float>& logits, std::vector<uint8_t> pixels,
                size_t t) {
  pixels[t] ^= 0x80;
  const std::vector<float> changed = forward.logits(pixels.data());
  const size_t vocab = logits.size() / pixels.size();
  Changes found;
  for (size_t i = 0; i < logits.size(); ++i)
    if (changed[i] != logits[i]) ++(i / vocab <= t ? found.before : found.after);
  return found;
}

template <class T>
void check_causality(const ModelConfig& config, const std::vector<size_t>& bytes) {
  Random random(3);
  const Weights weights = random_weights(config, random);
  const std::vector<uint8_t> pixels = random_pixels(config, random);
  Forward<T> forward(weights);
  const std::vector<float> logits = forward.logits(pixels.data());
  for (const size_t t : bytes) {
    const Changes found = changes(forward, logits, pixels, t);
    INFO(config.image.height << " x " << config.image.width << ", " << name(config.tokens) << ", "
                             << name(config.attention[0]) << ", byte " << t);
    CHECK(found.before == 0);
    CHECK((found.after > 0 || t + 1 == pixels.size()));
  }
}

void check_causality(const ModelConfig& config, const std::vector<size_t>& bytes) {
  check_causality<float>(config, bytes);
  check_causality<bfloat16>(config, bytes);
}

TEST_CASE("No logit depends on its own byte or a later one") {
  for (const Attention attention : kAttentions)
    for (const Tokens tokens : {Tokens::pixel, Tokens::subpixel}) {
      const ModelConfig small = small_config(tokens, attention, 4, 5);
      std::vector<size_t> all(static_cast<size_t>(small.dims()));
      std::iota(all.begin(), all.end(), size_t{0});
      check_causality(small, all);

      // More positions than are processed at a time. Changes the bytes of the first and last rows,
      // and some of the others.
      const ModelConfig large = small_config(tokens, attention, 13, 50);
      const auto dims = static_cast<size_t>(large.dims());
      std::vector<size_t> some = {0, 1, 2, dims - 3, dims - 2, dims - 1};
      for (size_t row = 0; row < 13; ++row) some.push_back(row * 150 + 148 + row % 3);
      check_causality(large, some);
    }
}

// ---- A trained model

// Record k of the last 500 in a CIFAR-10 file, with interleaved channels.
std::vector<uint8_t> validation_record(const std::filesystem::path& path, size_t k) {
  constexpr size_t kRecord = 3073, kPlane = 1024;
  const size_t records = std::filesystem::file_size(path) / kRecord;
  std::ifstream file(path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>((records - 500 + k) * kRecord + 1));
  std::vector<char> planes(3 * kPlane);
  file.read(planes.data(), static_cast<std::streamsize>(planes.size()));
  REQUIRE(file.good());
  std::vector<uint8_t> pixels(3 * kPlane);
  for (size_t i = 0; i < pixels.size(); ++i)
    pixels[i] = static_cast<uint8_t>(planes[i % 3 * kPlane + i / 3]);
  return pixels;
}

// The nats of each image, summed over its channels.
std::vector<double> read_nats(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  CHECK(line == "record,red_nats,green_nats,blue_nats");
  std::vector<double> sums;
  for (double record, red, green, blue;
       file >> record && file.ignore() >> red && file.ignore() >> green && file.ignore() >> blue;)
    sums.push_back(red + green + blue);
  return sums;
}

template <class T>
double total_nats(Forward<T>& forward, const std::vector<uint8_t>& pixels) {
  const std::vector<float> nats = forward.nats(pixels.data());
  return std::accumulate(nats.begin(), nats.end(), 0.0);
}

TEST_CASE("A trained model assigns images the nats that its makers recorded") {
  const std::filesystem::path folder = shared_folder() / "weights";
  const std::filesystem::path data = shared_folder() / "data/cifar-10/data_batch_5.bin";
  for (const std::filesystem::path& path : {folder, data})
    if (!std::filesystem::exists(path)) SKIP_TEST(path << " is absent");

  const Weights weights = load_weights(folder / "cifar10-prototype.safetensors");
  const std::vector<double> expected = read_nats(folder / "cifar10-prototype-nats.csv");
  REQUIRE(expected.size() == 64);
  Forward<float> floats(weights);
  Forward<bfloat16> halves(weights);
  constexpr size_t kImages = 8;
  double difference = 0;
  for (size_t k = 0; k < 64; k += 64 / kImages) {
    const std::vector<uint8_t> pixels = validation_record(data, k);
    INFO("record " << k);
    CHECK(std::abs(total_nats(floats, pixels) / expected[k] - 1) < 1e-5);
    difference += total_nats(halves, pixels) - expected[k];
  }
  const double bits_per_dim = difference / std::log(2.0) / (kImages * 3072);
  CHECK(std::abs(bits_per_dim) < 0.003);
  CHECK(bits_per_dim != 0.0);
}

}  // namespace
}  // namespace combiner
