// The gradient of an image's negative log-likelihood with respect to every parameter.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "model/model.h"

namespace combiner {

// The forward and backward passes of one image at a time. T is the operand type of matrix products,
// float or bfloat16. Use one per thread.
template <class T>
class GradientPass {
 public:
  // `packed` must be `weights` packed for training in T. Each run reads both, so they may change
  // between runs.
  GradientPass(const Weights& weights, const ModelWeights& packed, Cancel cancel = {});

  // Returns the image's -log p in nats, summed over all sub-pixels, and adds `scale` times its
  // gradient to `gradient`, a flat buffer in the parameters' layout. With accumulate = false the
  // gradient replaces what was there. `pixels` is [height, width, channels]. Calls
  // done_from(offset) when the gradient is complete from that offset on: the backward pass goes
  // from the end of the buffer to its beginning. Throws Cancelled soon after it is asked to end;
  // `gradient` then holds nothing of use.
  double run(const uint8_t* pixels, float scale, float* gradient, bool accumulate = true,
             const std::function<void(size_t offset)>& done_from = {});

 private:
  // The head, the loss and the head's backward pass, for some positions at a time. Leaves the
  // gradient of the head's input in residual_.x and returns the nats.
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
