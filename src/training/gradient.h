// The gradient of an image's negative log-likelihood with respect to every parameter.
#pragma once

#include <cstdint>
#include <vector>

#include "model/model.h"

namespace combiner {

// Forward and backward passes of one image at a time. T is float or bfloat16, the type that
// products read. One for each thread.
template <class T>
class GradientPass {
 public:
  // Reads both at every run, so they may change between runs: `packed` are those weights, packed
  // for training in T.
  GradientPass(const Weights& weights, const ModelWeights& packed);

  // Returns the image's nats (the sum over all sub-pixels), and adds `scale` times their gradient
  // to `gradient`, a flat buffer of the parameters' layout, or, if not accumulated, leaves it there
  // whatever was there before. `pixels` is [height, width, channels].
  double run(const uint8_t* pixels, float scale, float* gradient, bool accumulate = true);

 private:
  // Head, loss and head's backward for some positions at a time, leaving the gradient of the head's
  // input in residual_.x. Returns the nats.
  double head_and_loss(const uint8_t* pixels, float scale, const GradientBuffer& gradient);

  const ModelConfig& config_;
  const Parameters& parameters_;
  const ModelWeights& weights_;
  ImagePass<T> pass_;
  HeadActivations<T> head_;
  ResidualGradient<T> residual_;
  BlockScratch<T> block_scratch_;
  HeadScratch<T> head_scratch_;
  std::vector<uint8_t> targets_;
  Buffer<float> nats_;
};

}  // namespace combiner
