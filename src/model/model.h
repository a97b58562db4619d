// The model: embedding, blocks and head. Its parameters, its weights, and its passes over one whole
// image (ImagePass) and over one position of many images (Decoder, in decoder.h).
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

// The layout of a model's parameters, and where each layer's parameters are in it.
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

// The weights in the form that passes read. Threads may share them.
struct ModelWeights {
  EmbeddingWeights embedding;
  std::vector<BlockWeights> blocks;
  HeadWeights head;

  ModelWeights(const ModelConfig& config, const Parameters& parameters,
               const PackedParameters& packed, KeptSummaries summaries);
};

// Rounds the weights to `precision` and packs them on the team's threads. Tables and vectors are
// not copied, so `weights` must outlive the result.
ModelWeights pack_weights(const Weights& weights, Precision precision, PackedFor use,
                          ThreadTeam& team);

// The operations (a multiply-add counts as two) in the matrix products of one image's likelihood:
// dense layers, and attention over the query-key pairs that its masks let through. A training step
// takes three times as many per image.
int64_t product_operations(const ModelConfig& config);

// The structure of a forward pass, from the embedding through all blocks. x_of(layer), with a row
// for each position, is the input of block `layer` or, after the last block, of the head.
// middle_of(layer) and block_of(layer) belong to that block. attend(layer) runs its attention (see
// block_forward).
template <class T, class PositionOf, class XOf, class MiddleOf, class BlockOf, class Attend>
void model_forward(const ModelConfig& config, const ModelWeights& weights, PositionOf&& position_of,
                   EmbeddingActivations<T>& embedding, XOf&& x_of, MiddleOf&& middle_of,
                   BlockOf&& block_of, Worker& worker, Attend&& attend) {
  embedding_forward(config, weights.embedding, position_of, x_of(0), embedding, worker);
  for (size_t layer = 0; layer < weights.blocks.size(); ++layer)
    block_forward<T>(config, weights.blocks[layer], x_of(layer), middle_of(layer), x_of(layer + 1),
                     block_of(layer), worker, [&] { attend(layer); });
}

// Passes over one whole image, layer by layer: the forward pass, and what it leaves for a backward
// pass. T is the operand type of matrix products: float (for f32) or bfloat16. The residual stream,
// normalisation, softmax and sums are in float. Use one per thread.
template <class T>
class ImagePass {
 public:
  // For forward_only, all layers share the same memory, so that it stays in cache. `config` and
  // `weights` must outlive the pass.
  ImagePass(const ModelConfig& config, const ModelWeights& weights, Pass pass, Cancel cancel = {});

  // In these, `pixels` is [height, width, channels]. They throw Cancelled soon after they are asked
  // to end.

  // Writes nll [height, width, channels]: -log p of each sub-pixel given all before it, in nats.
  void nll(const uint8_t* pixels, float* nll);

  // Writes logits [L, predictions, V], before the softmax.
  void logits(const uint8_t* pixels, float* logits);

  // Runs the embedding and all blocks. x(num_layers) is then the head's input [L, D].
  void forward(const uint8_t* pixels);

  Worker& worker() { return worker_; }
  EmbeddingActivations<T>& embedding() { return embedding_; }
  // Block `layer`'s own memory, or the memory that all blocks share. x is the block's input, middle
  // the sum after its attention.
  Matrix<float> x(size_t layer) { return x_[own(layer)].view(); }
  Matrix<float> middle(size_t layer) { return middle_.empty() ? x(layer) : middle_[layer].view(); }
  BlockActivations<T>& block(size_t layer) { return blocks_[own(layer)]; }
  PartsActivations<T>& parts(size_t layer);
  T* state(size_t layer) { return states_[own(layer)].data(); }

 private:
  size_t own(size_t layer) const { return pass_ == Pass::forward_backward ? layer : 0; }
  // Runs the model and calls visit(first position, positions, prediction) for bands of up to
  // kPositionsAtOnce positions, with their logits in head_.logits.
  template <class Visit>
  void run(const uint8_t* pixels, Visit&& visit);

  const ModelConfig& config_;
  const ModelWeights& weights_;
  Pass pass_;
  EmbeddingActivations<T> embedding_;
  std::vector<OwnedMatrix<float>> x_, middle_;
  std::vector<BlockActivations<T>> blocks_;
  std::vector<Buffer<T>> states_;
  std::vector<PartsActivations<T>> parts_;  // per block, with a backward pass
  SharedPartsActivations<T> shared_parts_;  // without one
  OwnedMatrix<float> attended_;             // a block's attention output before rounding to T
  HeadActivations<T> head_;
  Worker worker_;
};

}  // namespace combiner
