#include "engine/model.h"

#include <utility>

namespace combiner {
namespace {

std::variant<ImagePass<float>, ImagePass<bfloat16>> make_pass(const Model& model) {
  using Pass = combiner::Pass;
  if (product_type(model.precision()) == ElementType::f32)
    return ImagePass<float>(model.config(), model.for_images(), Pass::forward_only);
  return ImagePass<bfloat16>(model.config(), model.for_images(), Pass::forward_only);
}

}  // namespace

Model::Model(Weights weights, Precision precision, int threads)
    : weights_(std::move(weights)), precision_(precision), threads_(threads) {}

const ModelWeights& Model::packed(Packing& packing, PackedFor use) const {
  std::call_once(packing.once, [&] {
    ThreadTeam team(threads_);
    packing.weights = pack_weights(weights_, precision_, use, team);
  });
  return *packing.weights;
}

ImageScorer::ImageScorer(const Model& model) : pass_(make_pass(model)) {}

void ImageScorer::nll(const uint8_t* pixels, float* nll) {
  std::visit([&](auto& pass) { pass.nll(pixels, nll); }, pass_);
}

void ImageScorer::logits(const uint8_t* pixels, float* logits) {
  std::visit([&](auto& pass) { pass.logits(pixels, logits); }, pass_);
}

}  // namespace combiner
