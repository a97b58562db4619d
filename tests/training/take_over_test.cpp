#include "training/take_over.h"

#include "catch.h"
#include "error_of.h"
#include "training/initialise.h"
#include "training/tiny_training.h"

namespace combiner {
namespace {

std::span<const float> values_of(const Weights& weights, std::string_view name) {
  for (const Parameter& parameter : weights.parameters.list)
    if (parameter.name == name) return {weights.values.data() + parameter.offset, parameter.size};
  FAIL("no tensor " << name);
  return {};
}

bool equal(std::span<const float> a, std::span<const float> b) { return std::ranges::equal(a, b); }

// Gives place p of the table the value slope * p.
void fill_ramp(Weights& weights, std::string_view name, float slope) {
  const auto dim = static_cast<size_t>(weights.config.embed_dim);
  float* const values = const_cast<float*>(values_of(weights, name).data());
  const size_t places = values_of(weights, name).size() / dim;
  for (size_t i = 0; i < places * dim; ++i) values[i] = slope * static_cast<float>(i / dim);
}

TEST_CASE("take over: all of a model of the same config") {
  const Weights from = initial_weights(tiny_config(), 1);
  Weights to = initial_weights(tiny_config(), 2);
  CHECK(take_over(from, to).empty());
  CHECK(equal(from.values.span(), to.values.span()));
}

TEST_CASE("take over: positions of another image size are resampled, and it is said") {
  Weights from = initial_weights(tiny_config(), 1);
  fill_ramp(from, "embed.position.row.weight", 8);
  ModelConfig config = tiny_config();
  config.image.height = 2 * kTinySide;
  Weights to = initial_weights(config, 2);
  const std::vector<std::string> lines = take_over(from, to);
  const std::string dim = std::to_string(config.embed_dim);
  REQUIRE(lines.size() == 1);
  CHECK(lines[0] ==
        "embed.position.row.weight: resampled from [4, " + dim + "] to [8, " + dim + "]");
  // Each row of the old picture is two of the new one, a quarter of a row above and below it.
  const std::span<const float> rows = values_of(to, "embed.position.row.weight");
  const std::vector<float> expected = {0, 2, 6, 10, 14, 18, 22, 24};
  for (size_t i = 0; i < rows.size(); ++i)
    CHECK(rows[i] == expected[i / static_cast<size_t>(config.embed_dim)]);
  CHECK(equal(values_of(from, "embed.position.column.weight"),
              values_of(to, "embed.position.column.weight")));
}

TEST_CASE("take over: learned positions are resampled in both directions") {
  ModelConfig config = tiny_config();
  config.position = Position::learned;
  Weights from = initial_weights(config, 1);
  fill_ramp(from, "embed.position.weight", 1);  // row * 4 + column
  config.image.height = config.image.width = 2;
  Weights to = initial_weights(config, 2);
  CHECK(take_over(from, to).size() == 1);
  const std::span<const float> places = values_of(to, "embed.position.weight");
  const std::vector<float> expected = {2.5, 4.5, 10.5, 12.5};
  for (size_t i = 0; i < places.size(); ++i)
    CHECK(places[i] == expected[i / static_cast<size_t>(config.embed_dim)]);
}

TEST_CASE("take over: the positions of sub-pixels are resampled apart from each other") {
  ModelConfig config = tiny_config();
  config.tokens = Tokens::subpixel;
  config.start_token = 256;
  const auto dim = static_cast<size_t>(config.embed_dim);
  SECTION("a column for each") {
    Weights from = initial_weights(config, 1);
    fill_ramp(from, "embed.position.column.weight", 1);  // 3 * column + channel
    config.image.width = 2 * kTinySide;
    Weights to = initial_weights(config, 2);
    take_over(from, to);
    const std::span<const float> places = values_of(to, "embed.position.column.weight");
    const std::vector<float> columns = {0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3};
    REQUIRE(places.size() == 3 * columns.size() * dim);
    for (size_t i = 0; i < places.size(); ++i)
      CHECK(places[i] == 3 * columns[i / dim / 3] + static_cast<float>(i / dim % 3));
  }
  SECTION("learned, and as many in another shape") {
    config.position = Position::learned;
    Weights from = initial_weights(config, 1);
    fill_ramp(from, "embed.position.weight", 1);  // 3 * (4 * row + column) + channel
    config.image.height = 2 * kTinySide;
    config.image.width = kTinySide / 2;
    Weights to = initial_weights(config, 2);
    CHECK(take_over(from, to).size() == 1);
    const std::span<const float> places = values_of(to, "embed.position.weight");
    const std::vector<float> rows = {0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3};
    const std::vector<float> columns = {0.5, 2.5};
    for (size_t i = 0; i < places.size(); ++i) {
      const size_t pixel = i / dim / 3;
      CHECK(places[i] ==
            3 * (4 * rows[pixel / 2] + columns[pixel % 2]) + static_cast<float>(i / dim % 3));
    }
  }
}

TEST_CASE("take over: tables of one shape may be of other positions") {
  ModelConfig config = tiny_config();
  config.image.width = 3 * kTinySide;
  const Weights from = initial_weights(config, 1);
  config.image.width = kTinySide;
  config.tokens = Tokens::subpixel;
  config.start_token = 256;
  Weights to = initial_weights(config, 2);
  const std::string table = "embed.position.column.weight";
  REQUIRE(values_of(from, table).size() == values_of(to, table).size());
  CHECK(std::ranges::count(take_over(from, to),
                           table + ": begins anew: as large, but for other positions") == 1);
}

TEST_CASE("take over: what a deeper or a wider model has more of begins anew") {
  const Weights from = initial_weights(tiny_config(), 1);
  ModelConfig config = tiny_config();
  ++config.num_layers;
  config.mlp_dim *= 2;
  const Weights before = initial_weights(config, 2);
  Weights to = before.clone();
  const std::vector<std::string> lines = take_over(from, to);
  const std::string deeper = "blocks." + std::to_string(config.num_layers - 1) + ".norm1.weight";
  CHECK(std::ranges::count(lines, deeper + ": begins anew: the file has none") == 1);
  CHECK(equal(values_of(to, deeper), values_of(before, deeper)));
  const std::string wider = "blocks.0.mlp.up.weight";
  CHECK(std::ranges::any_of(lines, [&](const std::string& line) {
    return line.starts_with(wider + ": begins anew: the file's is [");
  }));
  CHECK(equal(values_of(to, wider), values_of(before, wider)));
  CHECK(equal(values_of(to, "blocks.0.attention.query.weight"),
              values_of(from, "blocks.0.attention.query.weight")));

  // The other way round, it is left out.
  Weights shallow = initial_weights(tiny_config(), 3);
  CHECK(std::ranges::count(take_over(to, shallow), deeper + ": left out: the new model has none") ==
        1);
}

TEST_CASE("take over: refuses a model of which no block fits") {
  const Weights from = initial_weights(tiny_config(), 1);
  ModelConfig config = tiny_config();
  config.embed_dim *= 2;
  config.mlp_dim *= 2;
  Weights to = initial_weights(config, 2);
  CHECK_THAT(error_of([&] { take_over(from, to); }), contains("no matrix of its blocks fits"));
}

}  // namespace
}  // namespace combiner
