#include "sampling/decoder.h"

#include <stdexcept>

#include "kernels/rows.h"
#include "model/attention/attention.h"
#include "model/block.h"
#include "model/embedding.h"

namespace combiner {

ModelWeights<PanelWeights> pack_panels(const Weights& weights, Precision precision,
                                       ThreadTeam& threads) {
  struct Layer {
    size_t offset;
    int64_t out, in;
  };
  std::vector<Layer> layers;
  visit_dense(weights, [&](size_t offset, int64_t out, int64_t in) {
    layers.push_back({offset, out, in});
  });
  const PanelPacker packer(weights, precision);
  std::vector<PanelWeights> packed(layers.size());
  threads.for_each(static_cast<int64_t>(layers.size()), [&](int, int64_t i) {
    const auto [offset, out, in] = layers[static_cast<size_t>(i)];
    packed[static_cast<size_t>(i)] = packer.pack(offset, out, in);
  });
  auto next = packed.begin();
  ModelWeights<PanelWeights> panels =
      bind_weights<PanelWeights>(weights.config, weights.parameters, weights.values.data(),
                                 [&](size_t, int64_t, int64_t) { return std::move(*next++); });
  panels.summaries = kept_summaries(precision);
  return panels;
}

template <class T>
DecodeState<T>::DecodeState(const ModelConfig& config, KeptSummaries summaries)
    : pixels(static_cast<size_t>(config.dims())) {
  const AttentionShape shape = config.attention_shape(summaries);
  size_t size = 0;
  for (const Attention attention : config.attention) {
    offsets_.push_back(size);
    size += static_cast<size_t>(attention_state_size<T>(attention, shape));
  }
  layers_ = Buffer<T>(size);
}

template <class T>
DecodeState<T> DecodeState<T>::clone() const {
  DecodeState copy;
  copy.position = position;
  copy.pixels = pixels.clone();
  copy.layers_ = layers_.clone();
  copy.offsets_ = offsets_;
  return copy;
}

template <class T>
Decoder<T>::Decoder(const ModelConfig& config, const ModelWeights<PanelWeights>& weights,
                    int64_t batch, int team)
    : config_(config),
      weights_(weights),
      shape_(config.attention_shape(weights.summaries)),
      batch_(batch),
      sinusoids_(sinusoidal_positions(config)),
      x_(batch, config.embed_dim),
      stem_in_(batch, stem_inputs(config)),
      block_(config, batch, Pass::forward_only),
      attended_(batch, config.embed_dim),
      head_(config, batch, Pass::forward_only),
      barrier_(std::make_unique<SpinBarrier>(team)) {
  for (int rank = 0; rank < team; ++rank)
    threads_.emplace_back(config, team == 1 ? Share() : Share(rank, team, *barrier_), batch);
}

template <class T>
void Decoder<T>::step(std::span<DecodeState<T>> states, const Choose& choose, int rank) {
  const auto n = static_cast<int64_t>(states.size());
  if (n > batch_) throw std::invalid_argument("Decoder::step: more images than it was made for");
  for (const DecodeState<T>& state : states)
    if (state.position >= config_.positions())
      throw std::invalid_argument("Decoder::step: an image is complete");
  Thread& thread = threads_[static_cast<size_t>(rank)];
  Worker& worker = thread.together;
  const Matrix<float> x = x_.view(n);
  worker.share.divide(n, [&](int64_t first, int64_t images) {
    for (int64_t i = first; i < first + images; ++i) {
      const DecodeState<T>& state = states[static_cast<size_t>(i)];
      embed_position(config_, weights_.embed, sinusoids_, state.pixels.data(), state.position,
                     x.row(i), stem_in_.view().row(i));
    }
  });
  if (config_.stem) dense(worker, stem_in_.view(n), weights_.embed.stem, x, {.accumulate = true});
  for (size_t layer = 0; layer < weights_.blocks.size(); ++layer)
    block_forward(config_, weights_.blocks[layer], x, x, x, block_, worker,
                  [&] { attend(states, layer, thread); });
  head_norm(config_, weights_, x, head_, worker);
  choose_values(states, choose, thread);
  complete(states, thread);
}

template <class T>
void Decoder<T>::attend(std::span<DecodeState<T>> states, size_t layer, Thread& thread) {
  const AttentionShape& shape = shape_;
  const auto n = static_cast<int64_t>(states.size());
  thread.together.share.divide(n * shape.heads, [&](int64_t first, int64_t number) {
    const int64_t first_image = first / shape.heads;
    const int64_t end_image = (first + number + shape.heads - 1) / shape.heads;
    // An image's heads among the `number` of all from `first` on.
    const auto heads_of = [&](int64_t image) -> HeadRange {
      const int64_t head = std::max<int64_t>(first - image * shape.heads, 0);
      return {head, std::min(first + number - image * shape.heads, shape.heads) - head};
    };
    const auto lines_of = [&](int64_t image) -> KeyLines<T>& {
      return thread.lines[static_cast<size_t>(image - first_image)];
    };
    for (int64_t i = first_image; i < end_image; ++i) {
      DecodeState<T>& state = states[static_cast<size_t>(i)];
      expect_position<T>(config_.attention[layer], shape, state.position, heads_of(i),
                         state.layer(layer));
    }
    for (int64_t i = first_image; i < end_image; ++i) {
      DecodeState<T>& state = states[static_cast<size_t>(i)];
      begin_position<T>(
          config_.attention[layer], shape, state.position, heads_of(i),
          {block_.norm1.view().row_block(i, 1), block_.query_key_value.view().row_block(i, 1)},
          state.layer(layer), lines_of(i), thread.alone);
    }
    const auto columns_of = [&](int64_t image, auto matrix) {
      const HeadRange heads = heads_of(image);
      return matrix.row_block(image, 1).column_block(heads.first * shape.head_dim(),
                                                     heads.number * shape.head_dim());
    };
    thread.positions.clear();
    for (int64_t i = first_image; i < end_image; ++i)
      thread.positions.push_back({columns_of(i, block_.query_key_value.view()).data,
                                  heads_of(i).number, lines_of(i).span(), lines_of(i).int8(),
                                  columns_of(i, attended_.view()).data});
    attend_lines<T>(thread.positions, shape.head_dim(), shape.scale(), thread.alone.scratch);
    for (int64_t i = first_image; i < end_image; ++i)
      convert<float, T>(columns_of(i, attended_.view()), columns_of(i, block_.attended_in.view()));
  });
}

template <class T>
void Decoder<T>::choose_values(std::span<DecodeState<T>> states, const Choose& choose,
                               Thread& thread) {
  const auto n = static_cast<int64_t>(states.size());
  const int channels = predictions(config_);
  for (int channel = 0; channel < channels; ++channel) {
    head_channel(weights_.head, config_, channel, n, head_, thread.together);
    thread.together.share.divide(n, [&](int64_t first, int64_t images) {
      for (int64_t i = first; i < first + images; ++i) {
        DecodeState<T>& state = states[static_cast<size_t>(i)];
        const int64_t subpixel = state.position * channels + channel;
        const uint8_t value =
            choose(static_cast<size_t>(i), subpixel,
                   {head_.logits.view().row(i), static_cast<size_t>(config_.vocab_size)});
        state.pixels[static_cast<size_t>(subpixel)] = value;
        if (channel + 1 < channels) head_reveal(weights_.head, channel, i, value, head_);
      }
    });
  }
}

// The layers of an image have nothing to do with each other here. Layer by layer, so that a layer's
// weights stay in cache from image to image.
template <class T>
void Decoder<T>::complete(std::span<DecodeState<T>> states, Thread& thread) {
  const auto layers = static_cast<int64_t>(weights_.blocks.size());
  const auto n = static_cast<int64_t>(states.size());
  // Of a processor's caches the part that one thread may count on.
  constexpr size_t kCached = size_t{16} << 20;
  const size_t between_rows = states.empty() ? 0 : states.size() * states.front().bytes();
  const ReadAgain read_again =
      between_rows > kCached * threads_.size() ? ReadAgain::late : ReadAgain::soon;
  thread.together.share.divide(n * layers, [&](int64_t first, int64_t number) {
    for (int64_t i = first; i < first + number; ++i) {
      DecodeState<T>& state = states[static_cast<size_t>(i % n)];
      const auto layer = static_cast<size_t>(i / n);
      const Attention attention = config_.attention[layer];
      complete_position<T>(attention, shape_, state.position, &weights_.blocks[layer].summary,
                           state.layer(layer), thread.attention.of(attention), thread.alone,
                           read_again);
    }
  });
  thread.together.share.divide(n, [&](int64_t first, int64_t images) {
    for (DecodeState<T>& state :
         states.subspan(static_cast<size_t>(first), static_cast<size_t>(images)))
      ++state.position;
  });
}

template struct DecodeState<float>;
template struct DecodeState<bfloat16>;
template class Decoder<float>;
template class Decoder<bfloat16>;

}  // namespace combiner
