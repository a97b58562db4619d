#include "combiner/model.h"

#include <vector>

#include "catch.h"
#include "data_folders.h"

namespace combiner {

TEST_CASE("Model::at: the same weights, at another precision") {
  const auto path = golden_folder() / "pixel_rowmajor_all.safetensors";
  const Model model = Model::load(path);
  const Model other = model.at(Precision::bf16);
  CHECK(other.precision() == Precision::bf16);
  CHECK(other.config() == model.config());
  CHECK(&other.weights() == &model.weights());

  const auto nats = [&](const Model& m) {
    const std::vector<uint8_t> pixels(static_cast<size_t>(m.config().dims()), 100);
    std::vector<float> result(pixels.size());
    ImageScorer(m).nll(pixels.data(), result.data());
    return result;
  };
  CHECK(nats(other) == nats(Model::load(path, Precision::bf16)));
  CHECK(nats(model) == nats(other.at(Precision::f32)));
}

TEST_CASE("ImageScorer: goes on when its model is gone") {
  const auto path = golden_folder() / "pixel_rowmajor_all.safetensors";
  const Model model = Model::load(path);
  const std::vector<uint8_t> pixels(static_cast<size_t>(model.config().dims()), 100);
  std::vector<float> expected(pixels.size()), nats(pixels.size());
  ImageScorer(model).nll(pixels.data(), expected.data());
  ImageScorer scorer(Model::load(path));
  scorer.nll(pixels.data(), nats.data());
  CHECK(nats == expected);
}

}  // namespace combiner
