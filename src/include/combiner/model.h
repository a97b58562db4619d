// A model ready to compute with.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "combiner/config.h"
#include "combiner/precision.h"

namespace combiner {

struct Weights;       // all weights of a model, in float
struct ModelWeights;  // the same packed for products

// Immutable, and shared by threads. Its weights are packed once for each use, when that use first
// asks.
class Model {
 public:
  // Reads a weights file (safetensors, the config in its metadata); `threads` pack the weights.
  // Throws Error if the file can't be read, is malformed, or is not what its config says: names
  // every tensor that is missing, unknown or of another shape.
  static Model load(const std::filesystem::path& path, Precision precision = Precision::f32,
                    int threads = 1);

  Model(Weights weights, Precision precision, int threads);
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
  std::unique_ptr<State> state_;
};

// A model's view of given images, one at a time. One for each thread.
class ImageScorer {
 public:
  // `model` must outlive it.
  explicit ImageScorer(const Model& model);
  ~ImageScorer();
  ImageScorer(ImageScorer&&) noexcept;
  ImageScorer& operator=(ImageScorer&&) noexcept;

  // `pixels` is [height, width, channels].
  // nll [height, width, channels]: -log p of each sub-pixel given all before, in nats.
  void nll(const uint8_t* pixels, float* nll);
  // logits [height, width, channels, vocab_size], before the softmax.
  void logits(const uint8_t* pixels, float* logits);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace combiner
