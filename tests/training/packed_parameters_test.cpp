#include "model/packed_parameters.h"

#include <algorithm>
#include <vector>

#include "catch.h"
#include "model/random_model.h"
#include "padded_matrix.h"

namespace combiner {
namespace {

// The products of the layer at `place` with random numbers: of its inputs with the weights, and of
// its outputs' gradient with the transposed weights. T is the type of their operands.
template <class T>
std::vector<std::vector<float>> products(const PackedParameters& packed, const DenseMatrix& place) {
  DenseParameters parameters;
  parameters.weight = place.offset;
  const DenseWeights layer = packed.dense(parameters);
  Multiplier multiplier;
  Random random(1);
  const auto product = [&](const PackedWeights& weights) {
    const PaddedMatrix<T> x(3, weights.in(), random);
    PaddedMatrix<float> y(3, weights.out());
    multiplier.multiply(plain(x.view()), weights, y.view());
    return y.elements();
  };
  return {product(layer.weight), product(layer.transposed)};
}

template <class T>
void check_refreshed(const ModelConfig& config) {
  constexpr Precision kPrecision = std::is_same_v<T, float> ? Precision::f32 : Precision::bf16;
  ThreadTeam team(2);
  Random random(2);
  Weights weights = random_weights(config, random);
  const Weights others = random_weights(config, random);
  const auto pack = [&] {
    return PackedParameters(weights.parameters, weights.values.data(), kPrecision,
                            PackedFor::training, team);
  };
  const auto all_products = [&](const PackedParameters& packed) {
    std::vector<std::vector<float>> all;
    for (const DenseMatrix& place : weights.parameters.dense)
      for (std::vector<float>& some : products<T>(packed, place)) all.push_back(std::move(some));
    return all;
  };

  PackedParameters packed = pack();
  const auto before = all_products(packed);
  std::ranges::copy(others.values, weights.values.begin());
  packed.refresh(team);
  const auto after = all_products(packed), expected = all_products(pack());
  for (size_t i = 0; i < before.size(); ++i) {
    INFO("product " << i);
    CHECK(after[i] == expected[i]);
    CHECK(after[i] != before[i]);
  }
}

TEST_CASE("packed parameters: refreshed after a change, they are as if packed anew") {
  for (const Tokens tokens : {Tokens::pixel, Tokens::subpixel}) {
    const ModelConfig config = small_config(tokens, Attention::axial_rowmajor, 3, 4);
    check_refreshed<float>(config);
    check_refreshed<bfloat16>(config);
  }
}

}  // namespace
}  // namespace combiner
