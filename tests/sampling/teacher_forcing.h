// Logits of given images by decoding, each sub-pixel's true value revealed after its prediction.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "sampling/decoder.h"
#include "tensor/thread_team.h"

namespace combiner {

// -log softmax(logits)[value].
inline double nats_of(std::span<const float> logits, uint8_t value) {
  const double most = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - most);
  return most + std::log(sum) - logits[value];
}

// Chooses the values of images[i] and appends the logits to logits[i].
template <class T>
typename Decoder<T>::Choose forced(std::span<const std::vector<uint8_t>> images,
                                   std::span<std::vector<float>> logits) {
  return [images, logits](size_t i, int64_t subpixel, std::span<const float> of_subpixel) {
    logits[i].insert(logits[i].end(), of_subpixel.begin(), of_subpixel.end());
    return images[i][static_cast<size_t>(subpixel)];
  };
}

// Decodes `steps` positions of each state.
template <class T>
void decode(Decoder<T>& decoder, std::span<DecodeState<T>> states,
            std::span<const std::vector<uint8_t>> images, int64_t steps,
            std::span<std::vector<float>> logits) {
  for (int64_t step = 0; step < steps; ++step) decoder.step(states, forced<T>(images, logits));
}

template <class T>
constexpr Precision precision_of = std::is_same_v<T, float> ? Precision::f32 : Precision::bf16;

// Logits [dims, V] of each image, all decoded as one batch.
template <class T>
std::vector<std::vector<float>> decode_batch(const Weights& weights,
                                             std::span<const std::vector<uint8_t>> images,
                                             Precision precision = precision_of<T>) {
  ThreadTeam packers(1);
  const ModelWeights<PanelWeights> panels = pack_panels(weights, precision, packers);
  Decoder<T> decoder(weights.config, panels, static_cast<int64_t>(images.size()));
  std::vector<DecodeState<T>> states;
  for (size_t i = 0; i < images.size(); ++i) states.emplace_back(weights.config, panels.summaries);
  std::vector<std::vector<float>> logits(images.size());
  decode<T>(decoder, states, images, weights.config.positions(), logits);
  return logits;
}

}  // namespace combiner
