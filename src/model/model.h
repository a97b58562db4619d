// A model ready for likelihood: config, weights, and one image's forward pass.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "model/activations.h"
#include "model/attention/attention.h"
#include "model/config.h"
#include "model/head.h"
#include "model/layers.h"
#include "model/parameters.h"
#include "tensor/buffer.h"

namespace combiner {

// The numbers that matrix products are made with: sums, normalisation, softmax and the loss are
// always in float. int8 is as bf16, but that it has
// 8-bit integers for the quantizable weights, times one scale for each row (quantize_row), whose
// products' inputs are rounded too (PanelWeights::pack).
enum class Precision { f32, bf16, int8 };
// "f32", "bf16", "int8"
std::string_view name(Precision precision);
// What products read, and what is kept between them.
ElementType product_type(Precision precision);
// How summaries are kept while sampling: in 8 bits in int8.
KeptSummaries kept_summaries(Precision precision);

// All weights of a model, in float, as read from a file or trained.
struct Weights {
  ModelConfig config;
  Parameters parameters;
  Buffer<float> values;  // in the parameters' layout

  explicit Weights(const ModelConfig& config_)
      : config(config_), parameters(config_), values(parameters.size) {}
};

// Calls visit(offset, out, in) for the dense weights, in the order in which bind_weights makes
// them.
template <class Visit>
void visit_dense(const Weights& weights, Visit&& visit) {
  struct Unbound {};
  bind_weights<Unbound>(weights.config, weights.parameters, weights.values.data(),
                        [&](size_t offset, int64_t out, int64_t in) {
                          visit(offset, out, in);
                          return Unbound{};
                        });
}

// What the dense weight at `offset` of the values is rounded to in a model of `precision`: that, or
// bf16 where it is int8 and the weight is not quantizable.
Precision weight_precision(const Weights& weights, size_t offset, Precision precision);

// Makes panels of a model's dense weights, all in one memory.
class PanelPacker {
 public:
  PanelPacker(const Weights& weights, Precision precision);
  // The layer at `offset` of the values; several threads may pack, each layer once.
  PanelWeights pack(size_t offset, int64_t out, int64_t in) const;

 private:
  const Weights& weights_;
  Precision precision_;
  std::shared_ptr<PanelMemory> memory_;
};

// The weights rounded to `precision` and laid out for products, shared by threads. Tables and
// vectors stay where they lie in `weights`, which must outlive the result.
ModelWeights<PackedWeights> pack_weights(const Weights& weights, Precision precision);

// The parallel forward pass of one image at a time, a layer of it after another: all layers'
// attention keeps what it keeps in the same memory, which so stays in cache. T is float (for f32)
// or bfloat16. Needs the weights' tables and vectors to stay where they are. One for each thread.
template <class T>
class ParallelForward {
 public:
  ParallelForward(const ModelConfig& config, const ModelWeights<PackedWeights>& weights);

  // nats [height, width, channels]: -log p of each sub-pixel given all before. `pixels` likewise.
  void nats(const uint8_t* pixels, float* nats);

  // logits [L, predictions, V].
  void logits(const uint8_t* pixels, float* logits);

 private:
  // Calls visit(first position, positions, prediction) for all positions, up to kPositionsAtOnce at
  // a time, with their logits in head_.logits.
  template <class Visit>
  void run(const uint8_t* pixels, Visit&& visit);

  const ModelConfig& config_;
  const ModelWeights<PackedWeights>& weights_;
  AttentionShape shape_;
  Buffer<float> sinusoids_;
  OwnedMatrix<float> x_;
  OwnedMatrix<T> stem_in_;
  BlockActivations<T> block_;
  OwnedMatrix<float> attended_;  // by a block, before it is rounded
  SharedAttentionActivations<T> attention_;
  Buffer<T> state_;  // of the layer at hand
  HeadActivations<T> head_;
  Worker worker_;
};

}  // namespace combiner
