// Draws images from a model.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "combiner/cancel.h"
#include "combiner/image.h"
#include "combiner/model.h"

namespace combiner {

// How the model's distribution is modified before a value is drawn; by default it is not. The
// temperature is applied first, then top_k, then top_p to what remains.
struct ChoiceOptions {
  double temperature = 1;  // divides the logits; 0 always takes the most likely value
  int top_k = 256;         // keep only this many of the most likely values
  double top_p = 1;        // keep the fewest most likely values whose probabilities sum to this

  bool operator==(const ChoiceOptions&) const = default;
};

// Which images to draw: `count` images of the seed's endless sequence, starting at `first_index`.
// Image k of a seed is bit-identical for any count, batch size and number of threads. In f32 it is
// also the same on every processor with fused multiply-add (on x86, AVX2), whatever the width of
// its vectors. In the other precisions it may differ between instruction sets.
struct SampleOptions {
  int64_t count = 1;
  int64_t first_index = 0;
  uint64_t seed = 0;
  ChoiceOptions choice = {};
  int batch = 16;  // the most images decoded at once, per thread
  int threads = 1;
};

// Callbacks; any of them may be empty. row_done and image_done are called one at a time, from the
// sampling threads. An exception from any callback stops sampling and is rethrown by draw().
struct SampleEvents {
  // One row of image `index` is done: pixels [width, 3], valid during the call only.
  std::function<void(int64_t index, int row, std::span<const uint8_t> pixels)> row_done = {};
  std::function<void(int64_t index, Image image)> image_done = {};
  // Asked before each position of each batch, possibly by several threads at once, and by sample()
  // and complete() also while they prepare.
  Cancel cancel = {};
};

// Draws images in batches. One thread decodes each batch or, where a short trial finds it faster, a
// team of threads. Batches are smaller than `batch` allows where that keeps all threads busy. The
// memory for the images is kept from one draw() to the next. Not thread-safe.
class Sampler {
 public:
  // Throws Error if an option is out of range or if the model's images do not have three channels,
  // and Cancelled soon after it is asked to end. Shares the model's weights, so `model` may be
  // moved and need not outlive the sampler.
  Sampler(const Model& model, const SampleOptions& options, const Cancel& cancel = {});
  ~Sampler();
  Sampler(Sampler&&) noexcept;
  Sampler& operator=(Sampler&&) noexcept;

  // Draws the images. Returns true once all are done, false if asked to end. May be called again
  // whatever the outcome of the previous call, but not before that has returned, such as from a
  // callback: then it throws std::logic_error.
  bool draw(const SampleEvents& events);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Draws once with a temporary Sampler.
bool sample(const Model& model, const SampleOptions& options, const SampleEvents& events);

}  // namespace combiner
