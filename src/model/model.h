// The model: embedding, blocks, head. Its parameters, its weights, and its passes over one image
// (ImagePass) and over one position of many (Decoder, decoder.h).
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/thread_team.h"
#include "combiner/config.h"
#include "model/block.h"
#include "model/layers/embedding.h"
#include "model/layers/head.h"
#include "model/packed_parameters.h"
#include "model/precision.h"
#include "tensor/buffer.h"

namespace combiner {

// The layout of a model's parameters, and its layers' places in it.
struct Parameters : ParameterLayout {
  explicit Parameters(const ModelConfig& config);

  EmbeddingParameters embedding;
  std::vector<BlockParameters> blocks;
  HeadParameters head;
};

// All weights of a model, in float, as read from a file or trained.
struct Weights {
  ModelConfig config;
  Parameters parameters;
  Buffer<float> values;  // in the parameters' layout

  explicit Weights(const ModelConfig& config_)
      : config(config_), parameters(config_), values(parameters.size) {}
  Weights clone() const;
};

// The weights as passes read them. May be shared by threads.
struct ModelWeights {
  EmbeddingWeights embedding;
  std::vector<BlockWeights> blocks;
  HeadWeights head;

  ModelWeights(const ModelConfig& config, const Parameters& parameters,
               const PackedParameters& packed, KeptSummaries summaries);
};

// The weights rounded to `precision` and packed, by the team's threads. Tables and vectors stay
// where they lie in `weights`, which must outlive the result.
ModelWeights pack_weights(const Weights& weights, Precision precision, PackedFor use,
                          ThreadTeam& team);

// Operations (a multiply-add is two) of the matrix products in the likelihood of one image: dense
// layers, and attention's products over the pairs of query and key that its masks let through. A
// training step needs three times as many an image.
int64_t product_operations(const ModelConfig& config);

// The outline of a forward pass, from the embedding through all blocks. It works on the rows of
// x_of(layer), the input of block `layer` or, after the last, of the head; middle_of(layer) and
// block_of(layer) are that block's. attend(layer) attends (block_forward).
template <class T, class PositionOf, class XOf, class MiddleOf, class BlockOf, class Attend>
void model_forward(const ModelConfig& config, const ModelWeights& weights, PositionOf&& position_of,
                   EmbeddingActivations<T>& embedding, XOf&& x_of, MiddleOf&& middle_of,
                   BlockOf&& block_of, Worker& worker, Attend&& attend) {
  embedding_forward(config, weights.embedding, position_of, x_of(0), embedding, worker);
  for (size_t layer = 0; layer < weights.blocks.size(); ++layer)
    block_forward<T>(config, weights.blocks[layer], x_of(layer), middle_of(layer), x_of(layer + 1),
                     block_of(layer), worker, [&] { attend(layer); });
}

// What happens to one image, one layer of all its positions after another: the forward pass, and
// what it leaves for a backward pass. T is float (for f32) or bfloat16: what products read; the
// residual stream, normalisation, softmax and sums are in float. One for each thread.
template <class T>
class ImagePass {
 public:
  // Without a backward pass all layers compute in the same memory, which so stays in cache.
  // `config` and `weights` must outlive it.
  ImagePass(const ModelConfig& config, const ModelWeights& weights, Pass pass);

  // `pixels` is [height, width, channels].

  // nll [height, width, channels]: -log p of each sub-pixel given all before, in nats.
  void nll(const uint8_t* pixels, float* nll);

  // logits [L, predictions, V].
  void logits(const uint8_t* pixels, float* logits);

  // Embedding and blocks: x(num_layers) is then the head's input [L, D].
  void forward(const uint8_t* pixels);

  Worker& worker() { return worker_; }
  EmbeddingActivations<T>& embedding() { return embedding_; }
  // Block `layer`'s own, or what it shares. x is its input, middle the sum after its attention.
  Matrix<float> x(size_t layer) { return x_[own(layer)].view(); }
  Matrix<float> middle(size_t layer) { return middle_.empty() ? x(layer) : middle_[layer].view(); }
  BlockActivations<T>& block(size_t layer) { return blocks_[own(layer)]; }
  PartsActivations<T>& parts(size_t layer);
  T* state(size_t layer) { return states_[own(layer)].data(); }

 private:
  size_t own(size_t layer) const { return pass_ == Pass::forward_backward ? layer : 0; }
  // Calls visit(first position, positions, prediction) for all positions, up to kPositionsAtOnce at
  // a time, with their logits in head_.logits.
  template <class Visit>
  void run(const uint8_t* pixels, Visit&& visit);

  const ModelConfig& config_;
  const ModelWeights& weights_;
  Pass pass_;
  EmbeddingActivations<T> embedding_;
  std::vector<OwnedMatrix<float>> x_, middle_;
  std::vector<BlockActivations<T>> blocks_;
  std::vector<Buffer<T>> states_;
  std::vector<PartsActivations<T>> parts_;  // with a backward pass
  SharedPartsActivations<T> shared_parts_;  // without one
  OwnedMatrix<float> attended_;             // by a block, before it is rounded
  HeadActivations<T> head_;
  Worker worker_;
};

}  // namespace combiner
