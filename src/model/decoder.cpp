#include "model/decoder.h"

#include <algorithm>
#include <stdexcept>

namespace combiner {
namespace {

template <class T>
DecodeState<T>& decode_state(ImageState* state) {
  return static_cast<DecodeState<T>&>(*state);
}

}  // namespace

template <class T>
DecodeState<T>::DecodeState(const ModelConfig& config, const ModelWeights& weights) {
  pixels.resize(static_cast<size_t>(config.dims()));
  size_t size = 0;
  for (const BlockWeights& block : weights.blocks) {
    offsets_.push_back(size);
    size += static_cast<size_t>(block_state_size<T>(block));
  }
  blocks_ = Buffer<T>(size);
}

template <class T>
std::unique_ptr<ImageState> DecodeState<T>::clone() const {
  std::unique_ptr<DecodeState> copy(new DecodeState());
  copy->position = position;
  copy->pixels = pixels;
  copy->blocks_ = blocks_.clone();
  copy->offsets_ = offsets_;
  return copy;
}

template <class T>
void DecodeState<T>::assign(const ImageState& other) {
  const auto& from = static_cast<const DecodeState&>(other);
  position = from.position;
  pixels = from.pixels;
  std::ranges::copy(from.blocks_, blocks_.begin());
}

template <class T>
Decoder<T>::Decoder(const ModelConfig& config, const ModelWeights& weights, int64_t batch, int team)
    : config_(config),
      weights_(weights),
      batch_(batch),
      embedding_(config, batch),
      x_(batch, config.embed_dim),
      block_(config, batch, Pass::forward_only),
      attended_(batch, config.embed_dim),
      head_(config, batch, Pass::forward_only),
      barrier_(std::make_unique<SpinBarrier>(team)) {
  for (int rank = 0; rank < team; ++rank)
    threads_.emplace_back(config, team == 1 ? Share() : Share(rank, team, *barrier_),
                          static_cast<size_t>(batch));
}

template <class T>
void Decoder<T>::step(std::span<ImageState* const> states, const ChooseValue& choose, int rank) {
  const auto n = static_cast<int64_t>(states.size());
  if (n > batch_) throw std::invalid_argument("Decoder::step: more images than it was made for");
  for (const ImageState* state : states)
    if (state->position >= config_.positions())
      throw std::invalid_argument("Decoder::step: an image is complete");
  Thread& thread = threads_[static_cast<size_t>(rank)];
  const Matrix<float> x = x_.view(n);
  const auto position_of = [&](int64_t i) {
    const ImageState& state = *states[static_cast<size_t>(i)];
    return ImagePosition{state.pixels.data(), state.position};
  };
  if (rank == 0)
    for (size_t i = 0; i < states.size(); ++i) block_.attention.positions[i] = states[i]->position;
  const auto same_x = [&](size_t) { return x; };
  model_forward<T>(
      config_, weights_, position_of, embedding_, same_x, same_x,
      [&](size_t) -> BlockActivations<T>& { return block_; }, thread.team_worker,
      [&](size_t layer) { attend(states, layer, thread); });
  head_begin(config_, weights_.head, x, head_, thread.team_worker);
  choose_values(states, choose, thread);
  finish(states, thread);
}

template <class T>
void Decoder<T>::attend(std::span<ImageState* const> states, size_t layer, Thread& thread) {
  const std::span<StepImage<T>> images = std::span(thread.images).first(states.size());
  for (size_t i = 0; i < images.size(); ++i)
    images[i] = {states[i]->position, decode_state<T>(states[i]).block(layer)};
  attention_step<T>(weights_.blocks[layer].attention, images,
                    attended_.view(static_cast<int64_t>(states.size())), block_.attention,
                    thread.attention, thread.team_worker, thread.own_worker);
}

template <class T>
void Decoder<T>::choose_values(std::span<ImageState* const> states, const ChooseValue& choose,
                               Thread& thread) {
  const auto n = static_cast<int64_t>(states.size());
  const int count = predictions(config_);
  for (int prediction = 0; prediction < count; ++prediction) {
    head_logits(weights_.head, prediction, n, head_, thread.team_worker);
    thread.team_worker.share.parallel_for(n, [&](int64_t first, int64_t images) {
      for (int64_t i = first; i < first + images; ++i) {
        ImageState& state = *states[static_cast<size_t>(i)];
        const int64_t subpixel = state.position * count + prediction;
        const uint8_t value =
            choose(static_cast<size_t>(i), subpixel,
                   {head_.logits.view().row(i), static_cast<size_t>(config_.vocab_size)});
        state.pixels[static_cast<size_t>(subpixel)] = value;
        if (prediction + 1 < count) head_reveal(weights_.head, prediction, i, value, head_);
      }
    });
  }
}

// The blocks are independent here. Going block by block keeps a block's weights in cache from one
// image to the next.
template <class T>
void Decoder<T>::finish(std::span<ImageState* const> states, Thread& thread) {
  const auto layers = static_cast<int64_t>(weights_.blocks.size());
  const auto n = static_cast<int64_t>(states.size());
  // The share of the processor's caches that one thread may count on.
  constexpr size_t kCachePerThread = size_t{16} << 20;
  const size_t state_bytes =
      states.empty() ? 0 : states.size() * decode_state<T>(states.front()).bytes();
  const NextRead next_read =
      state_bytes > kCachePerThread * threads_.size() ? NextRead::late : NextRead::soon;
  thread.team_worker.share.parallel_for(n * layers, [&](int64_t first, int64_t number) {
    for (int64_t i = first; i < first + number; ++i) {
      DecodeState<T>& state = decode_state<T>(states[static_cast<size_t>(i % n)]);
      const auto layer = static_cast<size_t>(i / n);
      const AttentionWeights& attention = weights_.blocks[layer].attention;
      attention_finish_step<T>(attention, {state.position, state.block(layer)},
                               thread.parts.of(attention.variant), thread.own_worker, next_read);
    }
  });
  thread.team_worker.share.parallel_for(n, [&](int64_t first, int64_t images) {
    for (ImageState* state :
         states.subspan(static_cast<size_t>(first), static_cast<size_t>(images)))
      ++state->position;
  });
}

template struct DecodeState<float>;
template struct DecodeState<bfloat16>;
template class Decoder<float>;
template class Decoder<bfloat16>;

}  // namespace combiner
