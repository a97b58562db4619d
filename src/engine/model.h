// A model ready to compute with, whatever its precision.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <mutex>
#include <optional>
#include <variant>

#include "model/model.h"

namespace combiner {

// Immutable, and shared by threads. Its weights are packed once for each use, when that use first
// asks.
class Model {
 public:
  // `threads` pack the weights.
  Model(Weights weights, Precision precision, int threads);

  const ModelConfig& config() const { return weights_.config; }
  Precision precision() const { return precision_; }
  const Weights& weights() const { return weights_; }

  // The weights packed for passes over images, and for positions (decoding).
  const ModelWeights& for_images() const { return packed(for_images_, PackedFor::images); }
  const ModelWeights& for_positions() const { return packed(for_positions_, PackedFor::positions); }

 private:
  struct Packing {
    std::once_flag once;
    std::optional<ModelWeights> weights;
  };

  const ModelWeights& packed(Packing& packing, PackedFor use) const;

  Weights weights_;
  Precision precision_;
  int threads_;
  mutable Packing for_images_, for_positions_;
};

// A model's view of given images, one at a time. One for each thread.
class ImageScorer {
 public:
  // `model` must outlive it.
  explicit ImageScorer(const Model& model);

  // `pixels` is [height, width, channels].
  // nll [height, width, channels]: -log p of each sub-pixel given all before, in nats.
  void nll(const uint8_t* pixels, float* nll);
  // logits [L, predictions, V].
  void logits(const uint8_t* pixels, float* logits);

 private:
  std::variant<ImagePass<float>, ImagePass<bfloat16>> pass_;
};

}  // namespace combiner
