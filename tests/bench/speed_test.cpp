// Checks the figures that do not depend on the machine exactly, and only the presence of the
// others.

#include "bench/speed.h"

#include "base/peak_memory.h"
#include "bench/ceilings.h"
#include "catch.h"
#include "model/attention/attention.h"
#include "model/random_model.h"

namespace combiner {
namespace {

Effort short_effort(int threads) {
  Effort effort;
  effort.threads = threads;
  effort.repeats = 3;
  effort.seconds = 0.05;
  return effort;
}

Weights small_weights(Attention attention) {
  Random random(1);
  return random_weights(small_config(Tokens::pixel, attention, 4, 6), random);
}

void check(const std::optional<Rate>& rate) {
  REQUIRE(rate);
  CHECK(rate->median > 0);
  CHECK(rate->spread >= 0);
  CHECK(rate->repeats >= 1);
  CHECK(rate->repeats <= 3);
}

TEST_CASE("sampling reads all weights once per position, and summary weights once per row") {
  const int threads = GENERATE(1, 3);
  const int64_t batch = GENERATE(1, 2, 7);
  for (const auto& [precision, bytes] : {std::pair(Precision::f32, 4), {Precision::bf16, 2}})
    for (const Attention attention : {Attention::axial_rowmajor, Attention::fixed}) {
      const Weights weights = small_weights(attention);
      const auto speed = measure_sampling(weights, precision, batch, short_effort(threads));
      REQUIRE(speed);
      check(speed->images);
      // The sizes follow from d = 12, an MLP of 20, a stem with 60 inputs, and three heads.
      const int64_t head = 3 * (12 * 12 + 12 * 256), stem = 12 * 60;
      const int64_t blocks = 2 * (4 * 12 * 12 + 2 * 12 * 20);
      const int64_t summaries = attention == Attention::axial_rowmajor ? 2 * 2 * 12 * 12 : 0;
      CHECK(speed->weight_bytes == bytes * (head + stem + blocks + summaries));
      const int64_t state = attention_state_size<float>(attention, attention_shape(weights.config));
      CHECK(speed->state_bytes == bytes * batch * 2 * state);

      // An image may be decoded alone or together with others, which share the reading.
      const double an_image = bytes * (24.0 * static_cast<double>(head + stem + blocks) +
                                       4.0 * static_cast<double>(summaries));
      const double read = speed->weight_bytes_per_second / speed->images.median / an_image;
      CHECK(read < 1 + 1e-9);
      CHECK(read > 1 / static_cast<double>(batch) - 1e-9);
      if (threads == 1) CHECK(read < 1 / static_cast<double>(batch) + 1e-9);
    }
}

TEST_CASE("sampling's peak memory is weights, state and a little more") {
  if (kAddressSanitizer) SKIP_TEST("the address sanitizer keeps what is freed");
  return_freed_memory();
  ModelConfig config = small_config(Tokens::pixel, Attention::axial_rowmajor, 16, 16);
  config.embed_dim = 64;
  config.mlp_dim = 256;
  Random random(1);
  const Weights weights = random_weights(config, random);
  const auto speed = measure_sampling(weights, Precision::f32, 32, short_effort(1));
  REQUIRE(speed);
  if (!speed->peak_bytes) SKIP_TEST("the system keeps no count of peak memory");
  const int64_t known = speed->weight_bytes + speed->state_bytes;
  CHECK(known > 8 << 20);
  CHECK(*speed->peak_bytes > known - (1 << 20));
  CHECK(*speed->peak_bytes < known + (8 << 20));
}

TEST_CASE("likelihood and training report speeds on one thread and on several") {
  const Weights weights = small_weights(Attention::axial_mixture);
  for (const Precision precision : {Precision::f32, Precision::bf16})
    for (const int threads : {1, 3}) {
      const auto likelihood = measure_likelihood(weights, precision, short_effort(threads));
      REQUIRE(likelihood);
      check(likelihood->images);
      const auto training = measure_training(weights.config, precision, 6, short_effort(threads));
      REQUIRE(training);
      check(training->images);
    }
}

TEST_CASE("ceilings: matrix products and reading report rates") {
  const Weights weights = small_weights(Attention::axial_rowmajor);
  CHECK(has_own_products(Precision::f32));
  check(measure_products(weights, Precision::f32, short_effort(2)));
  for (const Precision precision : {Precision::bf16, Precision::int8})
    if (has_own_products(precision)) check(measure_products(weights, precision, short_effort(2)));
  check(measure_reading(100'000, short_effort(3)));
  CHECK(bytes_beyond_caches() >= 256 << 20);
}

TEST_CASE("measurements can be cancelled") {
  const Weights weights = small_weights(Attention::axial_rowmajor);
  Effort effort = short_effort(2);
  effort.cancel = Cancel([] { return true; });
  CHECK_FALSE(measure_sampling(weights, Precision::f32, 2, effort));
  CHECK_FALSE(measure_likelihood(weights, Precision::f32, effort));
  CHECK_FALSE(measure_training(weights.config, Precision::f32, 2, effort));
  CHECK_FALSE(measure_products(weights, Precision::f32, effort));
  CHECK_FALSE(measure_reading(1000, effort));
}

}  // namespace
}  // namespace combiner
