#include "model/model.h"

#include <algorithm>
#include <array>
#include <optional>

#include "kernels/cross_entropy.h"
#include "kernels/rows.h"
#include "model/block.h"
#include "model/embedding.h"
#include "tensor/for_each_band.h"

namespace combiner {
namespace {

// Elements of T that the layer keeps that keeps most.
template <class T>
size_t largest_state(const ModelConfig& config, const AttentionShape& shape) {
  int64_t size = 0;
  for (const Attention attention : config.attention)
    size = std::max(size, attention_state_size<T>(attention, shape));
  return static_cast<size_t>(size);
}

// Calls visit.operator()<Weight>(), Weight being what precision has weights in.
template <class Visit>
auto visit_weight_type(Precision precision, Visit&& visit) {
  switch (precision) {
    case Precision::int8:
      return visit.template operator()<int8_t>();
    case Precision::bf16:
      return visit.template operator()<bfloat16>();
    default:
      return visit.template operator()<float>();
  }
}

}  // namespace

std::string_view name(Precision precision) {
  switch (precision) {
    case Precision::bf16:
      return "bf16";
    case Precision::int8:
      return "int8";
    default:
      return "f32";
  }
}

ElementType product_type(Precision precision) {
  return precision == Precision::f32 ? ElementType::f32 : ElementType::bf16;
}

KeptSummaries kept_summaries(Precision precision) {
  return precision == Precision::int8 ? KeptSummaries::in_8_bits : KeptSummaries::as_made;
}

Precision weight_precision(const Weights& weights, size_t offset, Precision precision) {
  return precision == Precision::int8 && !weights.parameters.at(offset).quantizable
             ? Precision::bf16
             : precision;
}

PanelPacker::PanelPacker(const Weights& weights, Precision precision)
    : weights_(weights), precision_(precision) {
  size_t bytes = 0;
  visit_dense(weights, [&](size_t offset, int64_t out, int64_t in) {
    bytes += visit_weight_type(weight_precision(weights, offset, precision), [&]<class Weight>() {
      return PanelWeights::packed_bytes<Weight>(out, in);
    });
  });
  memory_ = std::make_shared<PanelMemory>(bytes);
}

PanelWeights PanelPacker::pack(size_t offset, int64_t out, int64_t in) const {
  return visit_weight_type(weight_precision(weights_, offset, precision_), [&]<class Weight>() {
    return PanelWeights::pack<Weight>(Matrix<const float>(weights_.values.data() + offset, out, in),
                                      memory_);
  });
}

ModelWeights<PackedWeights> pack_weights(const Weights& weights, Precision precision) {
  const float* values = weights.values.data();
  const ElementType type = product_type(precision);
  // Panels that PackedWeights would make one by one are all in one memory.
  std::optional<PanelPacker> packer;
  if (panels_are_faster(type) || precision == Precision::int8) packer.emplace(weights, precision);
  ModelWeights<PackedWeights> packed = bind_weights<PackedWeights>(
      weights.config, weights.parameters, values, [&](size_t offset, int64_t out, int64_t in) {
        if (panels_are_faster(type) ||
            weight_precision(weights, offset, precision) == Precision::int8)
          return PackedWeights(packer->pack(offset, out, in));
        return PackedWeights(Matrix<const float>(values + offset, out, in), type);
      });
  packed.summaries = kept_summaries(precision);
  return packed;
}

template <class T>
ParallelForward<T>::ParallelForward(const ModelConfig& config,
                                    const ModelWeights<PackedWeights>& weights)
    : config_(config),
      weights_(weights),
      shape_(config.attention_shape(weights.summaries == KeptSummaries::as_made
                                        ? KeptSummaries::as_made
                                        : KeptSummaries::rounded)),
      sinusoids_(sinusoidal_positions(config)),
      x_(config.positions(), config.embed_dim),
      stem_in_(config.positions(), stem_inputs(config)),
      block_(config, config.positions(), Pass::forward_only),
      attended_(config.positions(), config.embed_dim),
      attention_(config, config.rows()),
      state_(largest_state<T>(config, shape_)),
      head_(config, kPositionsAtOnce, Pass::forward_only) {}

template <class T>
template <class Visit>
void ParallelForward<T>::run(const uint8_t* pixels, Visit&& visit) {
  const Matrix<float> x = x_.view();
  for (int64_t i = 0; i < x.rows; ++i)
    embed_position(config_, weights_.embed, sinusoids_, pixels, i, x.row(i),
                   stem_in_.view().row(i));
  if (config_.stem) dense(worker_, stem_in_.view(), weights_.embed.stem, x, {.accumulate = true});
  for (size_t layer = 0; layer < weights_.blocks.size(); ++layer)
    block_forward(config_, weights_.blocks[layer], x, x, x, block_, worker_, [&] {
      const Attention attention = config_.attention[layer];
      attend_rows<T>(attention, shape_, 0, {block_.norm1.view(), block_.query_key_value.view()},
                     &weights_.blocks[layer].summary, attended_.view(), block_.attended_in.view(),
                     block_.lse.view(), state_.data(), attention_.of(attention), worker_,
                     AttendedUse::forward_only);
    });
  for_each_band(x.rows, kPositionsAtOnce, [&](int64_t first, int64_t n) {
    head_norm(config_, weights_, x.row_block(first, n), head_, worker_);
    for (int channel = 0; channel < predictions(config_); ++channel) {
      if (channel > 0)
        for (int64_t i = 0; i < n; ++i)
          head_reveal(weights_.head, channel - 1, i,
                      pixels[(first + i) * config_.image.channels + channel - 1], head_);
      head_channel(weights_.head, config_, channel, n, head_, worker_);
      visit(first, n, channel);
    }
  });
}

template <class T>
void ParallelForward<T>::nats(const uint8_t* pixels, float* nats) {
  const int step = predictions(config_);
  std::array<uint8_t, kPositionsAtOnce> targets;
  std::array<float, kPositionsAtOnce> band;
  run(pixels, [&](int64_t first, int64_t n, int channel) {
    for (int64_t i = 0; i < n; ++i)
      targets[static_cast<size_t>(i)] = pixels[(first + i) * step + channel];
    cross_entropy(head_.logits.view(n), targets.data(), band.data());
    for (int64_t i = 0; i < n; ++i)
      nats[(first + i) * step + channel] = band[static_cast<size_t>(i)];
  });
}

template <class T>
void ParallelForward<T>::logits(const uint8_t* pixels, float* logits) {
  const int64_t step = predictions(config_);
  const int64_t vocab = config_.vocab_size;
  run(pixels, [&](int64_t first, int64_t n, int channel) {
    convert<float, float>(
        head_.logits.view(n),
        Matrix<float>(logits + (first * step + channel) * vocab, n, vocab, step * vocab));
  });
}

template class ParallelForward<float>;
template class ParallelForward<bfloat16>;

}  // namespace combiner
