#include "sampling/decoder.h"

#include <stdexcept>

#include "model/attention/attention.h"
#include "model/block.h"
#include "model/embedding.h"

namespace combiner {

ModelWeights<PanelWeights> pack_panels(const Weights& weights, Precision precision) {
  return bind_weights<PanelWeights>(
      weights.config, weights.parameters, weights.values.data(),
      [&](size_t offset, int64_t out, int64_t in) {
        const Matrix<const float> matrix(weights.values.data() + offset, out, in);
        return precision == Precision::bf16 ? PanelWeights::pack<bfloat16>(matrix)
                                            : PanelWeights::pack<float>(matrix);
      });
}

template <class T>
DecodeState<T>::DecodeState(const ModelConfig& config)
    : pixels(static_cast<size_t>(config.dims())) {
  for (const Attention attention : config.attention)
    layers.emplace_back(
        static_cast<size_t>(attention_state_size(attention, config.attention_shape())));
}

template <class T>
DecodeState<T> DecodeState<T>::clone() const {
  DecodeState copy;
  copy.position = position;
  copy.pixels = pixels.clone();
  for (const Buffer<T>& layer : layers) copy.layers.push_back(layer.clone());
  return copy;
}

template <class T>
Decoder<T>::Decoder(const ModelConfig& config, const ModelWeights<PanelWeights>& weights,
                    int64_t batch)
    : config_(config),
      weights_(weights),
      batch_(batch),
      sinusoids_(sinusoidal_positions(config)),
      x_(batch, config.embed_dim),
      stem_in_(batch, stem_inputs(config)),
      block_(config, batch),
      attention_(config, 1),
      head_(config, batch) {}

template <class T>
void Decoder<T>::step(std::span<DecodeState<T>> states, const Choose& choose) {
  const auto n = static_cast<int64_t>(states.size());
  if (n > batch_) throw std::invalid_argument("Decoder::step: more images than it was made for");
  for (const DecodeState<T>& state : states)
    if (state.position >= config_.positions())
      throw std::invalid_argument("Decoder::step: an image is complete");
  const auto state = [&](int64_t i) -> DecodeState<T>& { return states[static_cast<size_t>(i)]; };

  const Matrix<float> x = x_.view(n);
  for (int64_t i = 0; i < n; ++i)
    embed_position(config_, weights_.embed, sinusoids_, state(i).pixels.data(), state(i).position,
                   x.row(i), stem_in_.view().row(i));
  if (config_.stem) dense(worker_, stem_in_.view(n), weights_.embed.stem, x, true);

  for (size_t layer = 0; layer < weights_.blocks.size(); ++layer)
    block_forward(config_, weights_.blocks[layer], x, x, x, block_, worker_, [&] {
      const Attention attention = config_.attention[layer];
      AttentionActivations<T>& activations = attention_.of(attention);
      for (int64_t i = 0; i < n; ++i)
        attend_position<T>(
            attention, config_.attention_shape(), state(i).position,
            {block_.norm1.view().row_block(i, 1), block_.query_key_value.view().row_block(i, 1)},
            &weights_.blocks[layer].summary, block_.attended.view().row_block(i, 1),
            block_.lse.view().row_block(i, 1), state(i).layers[layer].data(), activations, worker_);
    });

  head_norm(config_, weights_, x, head_);
  const int channels = predictions(config_);
  for (int channel = 0; channel < channels; ++channel) {
    head_channel(weights_.head, config_, channel, n, head_, worker_);
    for (int64_t i = 0; i < n; ++i) {
      const int64_t subpixel = state(i).position * channels + channel;
      const uint8_t value =
          choose(static_cast<size_t>(i), subpixel,
                 {head_.logits.view().row(i), static_cast<size_t>(config_.vocab_size)});
      state(i).pixels[static_cast<size_t>(subpixel)] = value;
      if (channel + 1 < channels) head_reveal(weights_.head, channel, i, value, head_);
    }
  }
  for (DecodeState<T>& decoded : states) ++decoded.position;
}

template struct DecodeState<float>;
template struct DecodeState<bfloat16>;
template class Decoder<float>;
template class Decoder<bfloat16>;

}  // namespace combiner
