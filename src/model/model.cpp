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

// Positions to a band: enough rows that keys packed for a column of attention serve many queries,
// few enough that activations stay in cache.
constexpr int64_t kBandPositions = 512;

int64_t band_rows(const ModelConfig& config) {
  return std::clamp<int64_t>(kBandPositions / config.columns(), 1, config.rows());
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
      band_rows_(band_rows(config)),
      sinusoids_(sinusoidal_positions(config)),
      x_(band_rows_ * config.columns(), config.embed_dim),
      stem_in_(band_rows_ * config.columns(), stem_inputs(config)),
      block_(config, band_rows_ * config.columns(), Pass::forward_only),
      attended_(band_rows_ * config.columns(), config.embed_dim),
      attention_(config, band_rows_),
      head_(config, kPositionsAtOnce, Pass::forward_only),
      states_(config, shape_) {}

template <class T>
template <class Visit>
void ParallelForward<T>::run(const uint8_t* pixels, Visit&& visit) {
  for (int64_t row = 0; row < config_.rows(); row += band_rows_) {
    const int64_t rows = std::min(band_rows_, config_.rows() - row);
    const int64_t first = row * config_.columns();
    const int64_t n = rows * config_.columns();
    const Matrix<float> x = x_.view(n);
    for (int64_t i = 0; i < n; ++i)
      embed_position(config_, weights_.embed, sinusoids_, pixels, first + i, x.row(i),
                     stem_in_.view().row(i));
    if (config_.stem)
      dense(worker_, stem_in_.view(n), weights_.embed.stem, x, {.accumulate = true});
    for (size_t layer = 0; layer < weights_.blocks.size(); ++layer)
      block_forward(config_, weights_.blocks[layer], x, x, x, block_, worker_, [&] {
        const Attention attention = config_.attention[layer];
        attend_rows<T>(attention, shape_, row,
                       {block_.norm1.view(n), block_.query_key_value.view(n)},
                       &weights_.blocks[layer].summary, attended_.view(n),
                       block_.attended_in.view(n), block_.lse.view(n), states_.layer(layer),
                       attention_.of(attention), worker_, AttendedUse::forward_only);
      });
    for_each_band(n, kPositionsAtOnce, [&](int64_t at, int64_t count) {
      head_norm(config_, weights_, x.row_block(at, count), head_, worker_);
      for (int channel = 0; channel < predictions(config_); ++channel) {
        if (channel > 0)
          for (int64_t i = 0; i < count; ++i)
            head_reveal(weights_.head, channel - 1, i,
                        pixels[(first + at + i) * config_.image.channels + channel - 1], head_);
        head_channel(weights_.head, config_, channel, count, head_, worker_);
        visit(first + at, count, channel);
      }
    });
  }
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
