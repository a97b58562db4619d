#include "model/model.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/for_each_band.h"
#include "kernels/cross_entropy.h"
#include "kernels/rows.h"

namespace combiner {
namespace {

std::vector<BlockParameters> make_blocks(ParameterLayout& layout, const ModelConfig& config) {
  std::vector<BlockParameters> blocks;
  for (size_t i = 0; i < static_cast<size_t>(config.num_layers); ++i)
    blocks.emplace_back(layout, config, i);
  return blocks;
}

// A pass over a whole image has no 8-bit keys. It rounds summaries as decoding does, so that both
// compute the same model.
KeptSummaries kept_summaries(Precision precision, PackedFor use) {
  const KeptSummaries kept = kept_summaries(precision);
  return use != PackedFor::positions && kept == KeptSummaries::in_8_bits ? KeptSummaries::rounded
                                                                         : kept;
}

// The largest state of any block, in elements of T.
template <class T>
size_t largest_state(const std::vector<BlockWeights>& blocks) {
  int64_t size = 0;
  for (const BlockWeights& block : blocks) size = std::max(size, block_state_size<T>(block));
  return static_cast<size_t>(size);
}

}  // namespace

Parameters::Parameters(const ModelConfig& config)
    : embedding(*this, config), blocks(make_blocks(*this, config)), head(*this, config) {}

Weights Weights::clone() const {
  Weights copy(config);
  std::ranges::copy(values, copy.values.begin());
  return copy;
}

ModelWeights::ModelWeights(const ModelConfig& config, const Parameters& parameters,
                           const PackedParameters& packed, KeptSummaries summaries)
    : embedding(config, parameters.embedding, packed), head(parameters.head, packed) {
  for (size_t i = 0; i < parameters.blocks.size(); ++i)
    blocks.emplace_back(config.attention[i], attention_shape(config, summaries),
                        parameters.blocks[i], packed);
}

ModelWeights pack_weights(const Weights& weights, Precision precision, PackedFor use,
                          ThreadTeam& team) {
  const PackedParameters packed(weights.parameters, weights.values.data(), precision, use, team);
  return ModelWeights(weights.config, weights.parameters, packed, kept_summaries(precision, use));
}

int64_t product_operations(const ModelConfig& config) {
  const Parameters parameters(config);
  int64_t multiply_adds = 0;
  for (const DenseMatrix& matrix : parameters.dense)
    multiply_adds += config.positions() * matrix.out * matrix.in;
  for (const Attention attention : config.attention)
    multiply_adds +=
        2 * int64_t{config.embed_dim} * attention_pairs(attention, attention_shape(config));
  return 2 * multiply_adds;
}

template <class T>
ImagePass<T>::ImagePass(const ModelConfig& config, const ModelWeights& weights, Pass pass,
                        Cancel cancel)
    : config_(config),
      weights_(weights),
      pass_(pass),
      embedding_(config, config.positions()),
      shared_parts_(config, pass == Pass::forward_only ? config.rows() : 0),
      attended_(config.positions(), config.embed_dim),
      head_(config, kPositionsAtOnce, Pass::forward_only) {
  worker_.cancel = std::move(cancel);
  const int64_t positions = config.positions();
  const int64_t dim = config.embed_dim;
  x_.emplace_back(positions, dim);
  if (pass == Pass::forward_only) {
    blocks_.emplace_back(config, positions, pass);
    states_.emplace_back(largest_state<T>(weights.blocks));
    return;
  }
  for (const BlockWeights& block : weights.blocks) {
    middle_.emplace_back(positions, dim);
    x_.emplace_back(positions, dim);
    blocks_.emplace_back(config, positions, pass);
    parts_.push_back(
        parts_activations<T>(block.attention.variant, block.attention.shape, config.rows()));
    states_.emplace_back(static_cast<size_t>(block_state_size<T>(block)));
  }
}

template <class T>
PartsActivations<T>& ImagePass<T>::parts(size_t layer) {
  return pass_ == Pass::forward_backward
             ? parts_[layer]
             : shared_parts_.of(weights_.blocks[layer].attention.variant);
}

template <class T>
void ImagePass<T>::forward(const uint8_t* pixels) {
  model_forward<T>(
      config_, weights_,
      [&](int64_t i) {
        return ImagePosition{pixels, i};
      },
      embedding_, [&](size_t layer) { return x(layer); },
      [&](size_t layer) { return middle(layer); },
      [&](size_t layer) -> BlockActivations<T>& { return block(layer); }, worker_,
      [&](size_t layer) {
        attention_attend(weights_.blocks[layer].attention, attended_.view(), state(layer),
                         block(layer).attention, parts(layer), worker_, pass_);
      });
}

template <class T>
template <class Visit>
void ImagePass<T>::run(const uint8_t* pixels, Visit&& visit) {
  forward(pixels);
  const Matrix<float> out = x(weights_.blocks.size());
  const int step = predictions(config_);
  for_each_band(out.rows, kPositionsAtOnce, [&](int64_t first, int64_t n) {
    head_begin(config_, weights_.head, out.row_block(first, n), head_, worker_);
    for (int prediction = 0; prediction < step; ++prediction) {
      if (prediction > 0)
        for (int64_t i = 0; i < n; ++i)
          head_reveal(weights_.head, prediction - 1, i, pixels[(first + i) * step + prediction - 1],
                      head_);
      head_logits(weights_.head, prediction, n, head_, worker_);
      visit(first, n, prediction);
    }
  });
}

template <class T>
void ImagePass<T>::nll(const uint8_t* pixels, float* nll) {
  const int step = predictions(config_);
  std::array<uint8_t, kPositionsAtOnce> targets;
  std::array<float, kPositionsAtOnce> band;
  run(pixels, [&](int64_t first, int64_t n, int prediction) {
    for (int64_t i = 0; i < n; ++i)
      targets[static_cast<size_t>(i)] = pixels[(first + i) * step + prediction];
    cross_entropy(head_.logits.view(n), targets.data(), band.data());
    for (int64_t i = 0; i < n; ++i)
      nll[(first + i) * step + prediction] = band[static_cast<size_t>(i)];
  });
}

template <class T>
void ImagePass<T>::logits(const uint8_t* pixels, float* logits) {
  const int64_t step = predictions(config_);
  const int64_t vocab = config_.vocab_size;
  run(pixels, [&](int64_t first, int64_t n, int prediction) {
    convert<float, float>(
        head_.logits.view(n),
        Matrix<float>(logits + (first * step + prediction) * vocab, n, vocab, step * vocab));
  });
}

template class ImagePass<float>;
template class ImagePass<bfloat16>;

}  // namespace combiner
