// Computes the logits of given images by decoding. Each sub-pixel's true value is revealed after
// its prediction.
#pragma once

#include <algorithm>
#include <cmath>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "model/decoder.h"
#include "model_of.h"

namespace combiner {

// -log softmax(logits)[value].
inline double nats_of(std::span<const float> logits, uint8_t value) {
  const double most = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - most);
  return most + std::log(sum) - logits[value];
}

// Chooses the values of images[i] and appends the logits to logits[i].
inline ChooseValue forced(std::span<const std::vector<uint8_t>> images,
                          std::span<std::vector<float>> logits) {
  return [images, logits](size_t i, int64_t subpixel, std::span<const float> of_subpixel) {
    logits[i].insert(logits[i].end(), of_subpixel.begin(), of_subpixel.end());
    return images[i][static_cast<size_t>(subpixel)];
  };
}

// Decodes `steps` positions of each state.
template <class T>
void decode(Decoder<T>& decoder, std::span<ImageState* const> states,
            std::span<const std::vector<uint8_t>> images, int64_t steps,
            std::span<std::vector<float>> logits) {
  for (int64_t step = 0; step < steps; ++step) decoder.step(states, forced(images, logits));
}

template <class T>
constexpr Precision precision_of = std::is_same_v<T, float> ? Precision::f32 : Precision::bf16;

// A decoder and the states of its images.
template <class T>
struct Batch {
  ModelWeights packed;
  Decoder<T> decoder;
  std::vector<std::unique_ptr<ImageState>> owned;
  std::vector<ImageState*> states;

  Batch(const Weights& weights, size_t size, int team = 1, Precision precision = precision_of<T>)
      : Batch(weights.config, packed_of(weights, precision, PackedFor::positions), size, team) {}
  Batch(const ModelConfig& config, ModelWeights weights, size_t size, int team = 1)
      : packed(std::move(weights)), decoder(config, packed, static_cast<int64_t>(size), team) {
    for (size_t i = 0; i < size; ++i) add(std::make_unique<DecodeState<T>>(config, packed));
  }
  void add(std::unique_ptr<ImageState> state) {
    states.push_back(state.get());
    owned.push_back(std::move(state));
  }
};

// The logits [dims, V] of each image, decoded together as one batch.
template <class T>
std::vector<std::vector<float>> decode_batch(const Weights& weights,
                                             std::span<const std::vector<uint8_t>> images,
                                             Precision precision = precision_of<T>) {
  Batch<T> batch(weights, images.size(), 1, precision);
  std::vector<std::vector<float>> logits(images.size());
  decode<T>(batch.decoder, batch.states, images, weights.config.positions(), logits);
  return logits;
}

}  // namespace combiner
