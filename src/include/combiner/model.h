// A model that is ready to compute.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "combiner/cancel.h"
#include "combiner/config.h"
#include "combiner/precision.h"

namespace combiner {

struct Weights;       // all weights of a model, in float
struct ModelWeights;  // the same, packed for matrix products

// A model's weights at a given precision. Immutable; threads may share one. The weights are packed
// separately for whole images and for decoding, each time on first use.
class Model {
 public:
  // Loads a weights file (safetensors, with the config in its metadata). Packing will use `threads`
  // threads. Throws Error if the file cannot be read, is malformed, or does not match its config;
  // the message names the tensors that are missing, unknown or of the wrong shape.
  static Model load(const std::filesystem::path& path, Precision precision = Precision::f32,
                    int threads = 1);

  Model(Weights weights, Precision precision, int threads);
  // The model at `precision`. Shares the weights; at the same precision also their packed forms.
  Model at(Precision precision) const;
  ~Model();
  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;

  const ModelConfig& config() const;
  Precision precision() const;
  const Weights& weights() const;

  // The weights packed for passes over whole images, and for decoding.
  const ModelWeights& for_images() const;
  const ModelWeights& for_positions() const;

 private:
  struct State;
  explicit Model(std::shared_ptr<State> state);

  std::shared_ptr<State> state_;
};

// Per-thread scorer of given images, one at a time.
class ImageScorer {
 public:
  // Shares the model's weights, so `model` may be moved and need not outlive the scorer.
  explicit ImageScorer(const Model& model, Cancel cancel = {});
  ~ImageScorer();
  ImageScorer(ImageScorer&&) noexcept;
  ImageScorer& operator=(ImageScorer&&) noexcept;

  // In these, `pixels` is [height, width, channels]. They throw Cancelled soon after they are asked
  // to end.

  // Writes nll [height, width, channels]: -log p of each sub-pixel given all before it, in nats.
  void nll(const uint8_t* pixels, float* nll);
  // Writes logits [height, width, channels, vocab_size], before the softmax.
  void logits(const uint8_t* pixels, float* logits);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace combiner
