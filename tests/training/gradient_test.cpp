#include "training/gradient.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <string>

#include "catch.h"
#include "kernels/rows.h"
#include "model/random_model.h"
#include "model_of.h"
#include "reference_model.h"

namespace combiner {
namespace {

template <class T>
constexpr Precision precision_of = std::is_same_v<T, float> ? Precision::f32 : Precision::bf16;

double norm(std::span<const double> x) {
  return std::sqrt(std::inner_product(x.begin(), x.end(), x.begin(), 0.0));
}

double total_nats(const Weights& weights, std::span<const double> values,
                  const std::vector<uint8_t>& pixels) {
  const std::vector<double> nats =
      reference::nats(weights.config, weights.parameters, values, pixels.data());
  return std::accumulate(nats.begin(), nats.end(), 0.0);
}

// The derivative of the reference's nats when parameter `first` + i moves by direction[i], as a
// central difference. The step's square, 1e-12, and the rounding of nats divided by the step, below
// 1e-8 of a gradient's norm, are negligible compared with float's rounding.
double slope(const Weights& weights, size_t first, std::span<const double> direction,
             const std::vector<uint8_t>& pixels) {
  constexpr double kStep = 1e-6;
  std::vector<double> values = to_doubles(weights);
  const auto nats_at = [&](double step) {
    for (size_t i = 0; i < direction.size(); ++i)
      values[first + i] = weights.values[first + i] + step * direction[i];
    return total_nats(weights, values, pixels);
  };
  return (nats_at(kStep) - nats_at(-kStep)) / (2 * kStep);
}

// A gradient passes through about ten products per block in the forward pass, twice as many in the
// backward pass, and ten in the head. Each product rounds a sum of at most `longest` terms after
// every addition. These roundings are nearly independent, so the sum is off by sqrt(longest) units,
// and the errors of the products add up.
double tolerance(const ModelConfig& config, double unit) {
  const int longest =
      std::max({config.embed_dim, config.mlp_dim, config.vocab_size, config.positions()});
  return (30 * config.num_layers + 10) * std::sqrt(longest) * unit;
}
constexpr double kFloatUnit = 0x1p-24;

// The gradient, added to zeros or in place of NaN.
template <class T>
std::vector<float> gradient_of(const Weights& weights, const std::vector<uint8_t>& pixels,
                               bool accumulate = true) {
  const ModelWeights packed = packed_of(weights, precision_of<T>, PackedFor::training);
  GradientPass<T> pass(weights, packed);
  std::vector<float> gradient(weights.values.size(), accumulate ? 0.0f : NAN);
  const double nats = pass.run(pixels.data(), 1.0f, gradient.data(), accumulate);
  CHECK(std::isfinite(nats));
  return gradient;
}

std::span<const float> part(const std::vector<float>& gradient, const Parameter& parameter) {
  return std::span(gradient).subspan(parameter.offset, parameter.size);
}

// The largest error of any tensor's gradient, relative to that tensor's own norm, or to `least` if
// that is larger: a gradient may be zero or nearly zero.
struct Worst {
  double error = 0;
  std::string tensor;

  void add(const Parameter& parameter, double tensor_error, double tensor_norm, double least) {
    const double relative = tensor_error / std::max(tensor_norm, least);
    if (std::isnan(error) || error >= relative) return;
    error = relative;
    tensor = parameter.name;
  }
};

// Compares every parameter on its own.
Worst compare_each(const Weights& weights, const std::vector<float>& gradient,
                   const std::vector<uint8_t>& pixels) {
  const double one[] = {1.0};
  std::vector<double> expected(gradient.size());
  for (size_t i = 0; i < gradient.size(); ++i) expected[i] = slope(weights, i, one, pixels);
  const double whole = norm(expected);
  Worst worst;
  for (const Parameter& parameter : weights.parameters.list) {
    const std::span<const float> actual = part(gradient, parameter);
    std::vector<double> error;
    for (size_t i = 0; i < parameter.size; ++i)
      error.push_back(actual[i] - expected[parameter.offset + i]);
    worst.add(parameter, norm(error),
              norm(std::span(expected).subspan(parameter.offset, parameter.size)), 1e-2 * whole);
  }
  return worst;
}

std::vector<double> random_signs(size_t count, Random& random) {
  std::vector<double> signs;
  for (size_t i = 0; i < count; ++i) signs.push_back(random.below(2) == 0 ? -1.0 : 1.0);
  return signs;
}

// Compares each tensor along a direction of random signs. Along such a direction the slope is about
// the norm of the gradient, and its error about the norm of the gradient's error.
Worst compare_directions(const Weights& weights, const std::vector<float>& gradient,
                         const std::vector<uint8_t>& pixels, Random& random) {
  const double whole = norm(std::vector<double>(gradient.begin(), gradient.end()));
  Worst worst;
  for (const Parameter& parameter : weights.parameters.list) {
    const std::span<const float> actual = part(gradient, parameter);
    const std::vector<double> direction = random_signs(parameter.size, random);
    const double expected = slope(weights, parameter.offset, direction, pixels);
    const double error =
        std::inner_product(actual.begin(), actual.end(), direction.begin(), 0.0) - expected;
    worst.add(parameter, std::abs(error), norm(std::vector<double>(actual.begin(), actual.end())),
              1e-2 * whole);
  }
  return worst;
}

struct Case {
  std::string name;
  ModelConfig config;
};

// A tiny model. It has few values per channel, so that an image uses every row of every table.
ModelConfig tiny(Tokens tokens, Attention attention, int height, int width) {
  ModelConfig config = small_config(tokens, attention, height, width);
  config.embed_dim = 8;
  config.mlp_dim = 11;
  config.vocab_size = 5;
  if (tokens == Tokens::subpixel) config.start_token = 5;
  return config;
}

std::vector<Case> tiny_cases() {
  constexpr Attention kRowmajor = Attention::axial_rowmajor;
  constexpr Attention kFull = Attention::full;
  std::vector<Case> cases;
  const auto add = [&](std::string name, ModelConfig config) -> ModelConfig& {
    return cases.emplace_back(Case{std::move(name), std::move(config)}).config;
  };
  add("pixel, row-major, all embeddings", tiny(Tokens::pixel, kRowmajor, 3, 5));
  {
    ModelConfig& c = add("pixel, full, sinusoidal", tiny(Tokens::pixel, kFull, 4, 3));
    c.position = Position::sinusoidal;
    c.context = {true, false};
    c.stem.reset();
  }
  {
    ModelConfig& c = add("subpixel, row-major, learned", tiny(Tokens::subpixel, kRowmajor, 3, 2));
    c.position = Position::learned;
    c.context = {};
    c.stem.reset();
    c.num_heads = 4;
    c.start_token = 0;
  }
  {
    ModelConfig& c = add("subpixel, both, all embeddings", tiny(Tokens::subpixel, kFull, 2, 3));
    c.attention = {kRowmajor, kFull};
    c.norm_epsilon = 1e-3;
  }
  for (const Attention attention : kAttentions)
    add(std::string(name(attention)), tiny(Tokens::pixel, attention, 4, 5)).context = {};
  for (const Attention attention : kRotaryAttentions)
    for (const auto& [height, width] : {std::pair(4, 5), std::pair(1, 6), std::pair(6, 1)}) {
      ModelConfig& c = add(std::string(name(attention)) + ", rotary",
                           tiny(Tokens::pixel, attention, height, width));
      c.context = {};
      c.rotary = RotaryConfig{20};
    }
  add("subpixel, rotary", tiny(Tokens::subpixel, kRowmajor, 3, 2)).rotary = RotaryConfig{100};
  add("pixel, relu", tiny(Tokens::pixel, kRowmajor, 3, 4)).activation = Activation::relu;
  add("pixel, one feature between a block's layers", tiny(Tokens::pixel, kRowmajor, 3, 4)).mlp_dim =
      1;
  for (const Attention attention : kAttentions) {
    const std::string variant(name(attention));
    add(variant + ", one row", tiny(Tokens::pixel, attention, 1, 6));
    add(variant + ", one column", tiny(Tokens::pixel, attention, 6, 1));
    add(variant + ", one pixel", tiny(Tokens::pixel, attention, 1, 1));
  }
  return cases;
}

TEST_CASE("The gradient of every parameter agrees with finite differences") {
  for (const Case& c : tiny_cases()) {
    Random random(1);
    const Weights weights = random_weights(c.config, random);
    const std::vector<uint8_t> pixels = random_pixels(c.config, random);
    const Worst worst = compare_each(weights, gradient_of<float>(weights, pixels), pixels);
    INFO(c.name << ": worst tensor " << worst.tensor);
    CHECK(worst.error < tolerance(c.config, kFloatUnit));
  }
}

// With one block, and with rotary positions where its variant supports them.
ModelConfig one_block(ModelConfig config) {
  config.mlp_dim = 12;
  config.num_layers = 1;
  config.attention.resize(1);
  if (supports_rotary(config.attention.front())) config.rotary = RotaryConfig{100};
  return config;
}

// More positions than a tile of full attention or a chunk of the head holds, and all 256 values.
TEST_CASE("Gradients of a larger image agree with finite differences") {
  for (const Attention attention : kAttentions) {
    ModelConfig config = one_block(small_config(Tokens::pixel, attention, 6, 50));
    config.embed_dim = 8;
    Random random(2);
    const Weights weights = random_weights(config, random);
    const std::vector<uint8_t> pixels = random_pixels(config, random);
    const Worst worst =
        compare_directions(weights, gradient_of<float>(weights, pixels), pixels, random);
    INFO(name(attention) << ": worst tensor " << worst.tensor);
    CHECK(worst.error < tolerance(config, kFloatUnit));
  }
}

// The backward pass makes the blocks' gradients for 512 positions, then for the rest, which here
// begins within a row. Only variants without maxima: of as many as there would be, a finite
// difference may step across some.
std::vector<Case> cases_of_more_than_512_positions() {
  std::vector<Case> cases;
  for (const Attention attention : kRotaryAttentions)
    for (const auto& [height, width] : {std::pair(30, 20), std::pair(24, 26)})
      cases.push_back({fmt::format("{}, {} rows", name(attention), height),
                       one_block(tiny(Tokens::pixel, attention, height, width))});
  return cases;
}

TEST_CASE("Gradients of an image of more than 512 positions agree with finite differences") {
  for (const Case& c : cases_of_more_than_512_positions()) {
    Random random(6);
    const Weights weights = random_weights(c.config, random);
    const std::vector<uint8_t> pixels = random_pixels(c.config, random);
    // One direction through all parameters, because the reference takes long. What is left out or
    // misplaced at 88 positions or more changes the whole by far more than rounding does.
    const std::vector<double> direction = random_signs(weights.values.size(), random);
    const double expected = slope(weights, 0, direction, pixels);
    for (const bool accumulate : {true, false}) {
      const std::vector<float> gradient = gradient_of<float>(weights, pixels, accumulate);
      const double actual =
          std::inner_product(gradient.begin(), gradient.end(), direction.begin(), 0.0);
      const double whole = norm(std::vector<double>(gradient.begin(), gradient.end()));
      INFO(c.name << (accumulate ? ", added" : ", replaced"));
      CHECK(std::abs(actual - expected) < tolerance(c.config, kFloatUnit) * whole);
    }
  }
}

TEST_CASE("The gradient pass returns the nats and adds the scaled gradient") {
  const ModelConfig config = tiny(Tokens::pixel, Attention::axial_rowmajor, 3, 5);
  Random random(3);
  const Weights weights = random_weights(config, random);
  const std::vector<uint8_t> pixels = random_pixels(config, random);
  const ModelWeights packed = packed_of(weights, Precision::f32, PackedFor::training);
  GradientPass<float> pass(weights, packed);
  const size_t size = weights.values.size();

  std::vector<float> first(size), second(size), halved(size, 1.0f);
  const double nats = pass.run(pixels.data(), 1.0f, first.data());
  const double expected = total_nats(weights, to_doubles(weights), pixels);
  CHECK(std::abs(nats - expected) < tolerance(config, kFloatUnit) * expected);

  // One run must leave no state behind for the next.
  pass.run(random_pixels(config, random).data(), 1.0f, second.data());
  std::fill(second.begin(), second.end(), 0.0f);
  CHECK(pass.run(pixels.data(), 1.0f, second.data()) == nats);
  CHECK(first == second);

  pass.run(pixels.data(), 0.5f, halved.data());
  double error = 0, whole = 0;
  for (size_t i = 0; i < size; ++i) {
    error = std::max(error, std::abs(halved[i] - 1.0 - 0.5 * first[i]));
    whole = std::max(whole, std::abs(0.5 * first[i]) + 1.0);
  }
  CHECK(error < tolerance(config, kFloatUnit) * whole);
}

template <class T>
void check_replaced(const ModelConfig& config) {
  Random random(5);
  const Weights weights = random_weights(config, random);
  const std::vector<uint8_t> pixels = random_pixels(config, random);
  CHECK(gradient_of<T>(weights, pixels, false) == gradient_of<T>(weights, pixels));
}

TEST_CASE("A gradient that is not accumulated equals one added to zeros") {
  for (const Case& c : tiny_cases()) {
    INFO(c.name);
    check_replaced<float>(c.config);
    check_replaced<bfloat16>(c.config);
  }
}

void check_close_in_bfloat16(const Case& c) {
  Random random(4);
  Weights weights = random_weights(c.config, random);
  const std::vector<uint8_t> pixels = random_pixels(c.config, random);
  // Weights that are exact in bfloat16, so that only the computation rounds.
  const auto size = static_cast<int64_t>(weights.values.size());
  Buffer<bfloat16> halves(weights.values.size());
  convert<float, bfloat16>({weights.values.data(), 1, size}, {halves.data(), 1, size});
  convert<bfloat16, float>({halves.data(), 1, size}, {weights.values.data(), 1, size});

  const std::vector<float> expected = gradient_of<float>(weights, pixels, false);
  const std::vector<float> actual = gradient_of<bfloat16>(weights, pixels, false);
  std::vector<double> error, exact(expected.begin(), expected.end());
  for (size_t i = 0; i < actual.size(); ++i) error.push_back(actual[i] - exact[i]);
  const double whole = norm(exact), relative = norm(error) / whole;
  Worst worst;
  for (const Parameter& parameter : weights.parameters.list) {
    const auto of = [&](const std::vector<double>& all) {
      return norm(std::span(all).subspan(parameter.offset, parameter.size));
    };
    worst.add(parameter, of(error), of(exact), 0.02 * whole);
  }
  INFO(c.name << ": " << worst.tensor << " " << worst.error << " " << relative);
  // The factors of a product are rounded once and its sum is in float, so every product adds an
  // independent error of 2^-8. Four times that leaves room for the norms and softmaxes that
  // magnify it.
  const double products = 30 * c.config.num_layers + 10;
  const double bound = 4 * std::sqrt(products) * 0x1p-8;
  CHECK(relative < bound);
  CHECK(worst.error < bound);
  CHECK(relative > 0x1p-12);
}

TEST_CASE("The gradient in bfloat16 is close to that in float") {
  for (const std::vector<Case>& cases : {tiny_cases(), cases_of_more_than_512_positions()})
    for (Case c : cases) {
      c.config.embed_dim = 32;  // narrow layer norms, of a few features, magnify rounding errors
      check_close_in_bfloat16(c);
    }
}

TEST_CASE("gradient: ends at whatever product or piece of attention it is asked to") {
  Random random(11);
  for (const Attention attention : kAttentions) {
    INFO(name(attention));
    ModelConfig config = small_config(Tokens::pixel, attention, 4, 5);
    const Weights weights = random_weights(config, random);
    const std::vector<uint8_t> pixels = random_pixels(config, random);
    const ModelWeights packed = packed_of(weights, Precision::f32, PackedFor::training);
    int64_t polls = 0, last = std::numeric_limits<int64_t>::max();
    GradientPass<float> pass(weights, packed, Cancel([&] { return ++polls > last; }));
    std::vector<float> gradient(weights.parameters.size);
    const double nats = pass.run(pixels.data(), 1, gradient.data(), false);
    const int64_t all = polls;
    CHECK(all > 4 * 10);  // several in each of the two layers, there and back
    for (last = 0; last < all; ++last) {
      polls = 0;
      std::vector<float> other(gradient.size());
      CHECK_THROWS_AS(pass.run(pixels.data(), 1, other.data(), false), Cancelled);
      CHECK(polls == last + 1);
    }
    // Nothing of that is left behind.
    std::vector<float> again(gradient.size());
    polls = 0;
    CHECK(pass.run(pixels.data(), 1, again.data(), false) == nats);
    CHECK(again == gradient);
  }
}

}  // namespace
}  // namespace combiner
