// The gradient of an image's nats with respect to every parameter.
#pragma once

#include <cstdint>
#include <vector>

#include "model/activations.h"
#include "model/attention/attention.h"
#include "model/config.h"
#include "model/head.h"
#include "model/layers.h"
#include "model/model.h"
#include "model/parameters.h"
#include "training/product_weights.h"

namespace combiner {

// Forward and backward passes of one image at a time. T is float or bfloat16, the type that
// products read; the residual stream, normalisation, softmax and all sums are in float. One for
// each thread.
template <class T>
class GradientPass {
 public:
  // Reads both at every run, so they may change between runs: `product_weights` are those weights,
  // for products in T.
  GradientPass(const Weights& weights, const ProductWeights& product_weights);

  // Returns the image's nats (the sum over all sub-pixels), and adds `scale` times their gradient
  // to `gradient`, a flat buffer of the parameters' layout, or, if not accumulated, leaves it there
  // whatever was there before. `pixels` is [height, width, channels].
  double run(const uint8_t* pixels, float scale, float* gradient, bool accumulate = true);

 private:
  void prepare(float* gradient, bool accumulate);
  void forward(const uint8_t* pixels);
  double head(const uint8_t* pixels, float scale, float* gradient);
  double head_channel_gradient(const uint8_t* pixels, int64_t first, int64_t n, int channel,
                               float scale, float* gradient);
  void block_backward(size_t layer, float* gradient);
  void mlp_backward(size_t layer, int64_t first, int64_t n, float* gradient);
  void attention_output_backward(size_t layer, int64_t first, int64_t n, float* gradient);
  void attention_backward(size_t layer, float* gradient);
  void attention_input_backward(size_t layer, int64_t first, int64_t n, float* gradient);
  void embedding_backward(const uint8_t* pixels, float* gradient);

  const ModelConfig& config_;
  const Parameters& parameters_;
  const float* values_;
  const ProductWeights& product_weights_;
  const ModelWeights<PackedWeights>& weights_;
  Buffer<float> sinusoids_;
  Worker worker_;
  bool accumulate_ = true;  // gradients of blocks' weights, or the first positions' replace them

  // Forward, kept for backward. x_[l] is block l's input, x_[num_layers] the head's.
  OwnedMatrix<T> stem_in_;
  OwnedMatrix<float> attended_;  // by a block, before it is rounded
  std::vector<OwnedMatrix<float>> x_, middle_;
  std::vector<BlockActivations<T>> blocks_;
  std::vector<AttentionActivations<T>> attentions_;
  std::vector<Buffer<T>> states_;

  // Backward. d_x_ is the gradient of the residual stream, in place from the head to the embedding.
  OwnedMatrix<float> d_x_, d_norm_, d_attended_, delta_, sum_query_key_value_;
  OwnedMatrix<T> d_x_in_, d_query_key_value_, d_up_;  // d_up_ is of the activation at first
  AttentionBackwardScratch<T> attention_scratch_;

  // The head's, for a part of the positions at a time.
  HeadActivations<T> head_;
  OwnedMatrix<T> d_logits_, d_hidden_;
  OwnedMatrix<float> d_head_in_, d_head_norm_;
  std::vector<uint8_t> targets_;
  Buffer<float> nats_;
};

}  // namespace combiner
