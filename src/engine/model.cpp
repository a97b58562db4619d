#include "combiner/model.h"

#include <mutex>
#include <optional>
#include <utility>
#include <variant>

#include "model/model.h"
#include "weights/weights_file.h"

namespace combiner {

struct Model::State {
  struct Packing {
    std::once_flag once;
    std::optional<ModelWeights> weights;
  };

  const ModelWeights& packed(Packing& packing, PackedFor use) {
    std::call_once(packing.once, [&] {
      ThreadTeam team(threads);
      packing.weights = pack_weights(*weights, precision, use, team);
    });
    return *packing.weights;
  }

  std::shared_ptr<const Weights> weights;
  Precision precision;
  int threads;
  Packing for_images = {}, for_positions = {};
};

Model::Model(Weights weights, Precision precision, int threads)
    : state_(new State{std::make_shared<const Weights>(std::move(weights)), precision, threads}) {}
Model::Model(std::shared_ptr<State> state) : state_(std::move(state)) {}
Model::~Model() = default;
Model::Model(Model&&) noexcept = default;
Model& Model::operator=(Model&&) noexcept = default;

Model Model::load(const std::filesystem::path& path, Precision precision, int threads) {
  return Model(load_weights(path), precision, threads);
}

Model Model::at(Precision precision) const {
  if (precision == state_->precision) return Model(state_);
  return Model(std::shared_ptr<State>(new State{state_->weights, precision, state_->threads}));
}

const ModelConfig& Model::config() const { return state_->weights->config; }
Precision Model::precision() const { return state_->precision; }
const Weights& Model::weights() const { return *state_->weights; }

const ModelWeights& Model::for_images() const {
  return state_->packed(state_->for_images, PackedFor::images);
}
const ModelWeights& Model::for_positions() const {
  return state_->packed(state_->for_positions, PackedFor::positions);
}

// ---- Scoring

namespace {

using AnyPass = std::variant<ImagePass<float>, ImagePass<bfloat16>>;

AnyPass make_pass(const Model& model, Cancel cancel) {
  if (product_type(model.precision()) == ElementType::f32)
    return ImagePass<float>(model.config(), model.for_images(), Pass::forward_only,
                            std::move(cancel));
  return ImagePass<bfloat16>(model.config(), model.for_images(), Pass::forward_only,
                             std::move(cancel));
}

}  // namespace

struct ImageScorer::State {
  Model model;  // holds the weights
  AnyPass pass;
};

ImageScorer::ImageScorer(const Model& model, Cancel cancel)
    : state_(new State{model.at(model.precision()), make_pass(model, std::move(cancel))}) {}
ImageScorer::~ImageScorer() = default;
ImageScorer::ImageScorer(ImageScorer&&) noexcept = default;
ImageScorer& ImageScorer::operator=(ImageScorer&&) noexcept = default;

void ImageScorer::nll(const uint8_t* pixels, float* nll) {
  std::visit([&](auto& pass) { pass.nll(pixels, nll); }, state_->pass);
}

void ImageScorer::logits(const uint8_t* pixels, float* logits) {
  std::visit([&](auto& pass) { pass.logits(pixels, logits); }, state_->pass);
}

}  // namespace combiner
