// Images drawn from a model.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "combiner/image.h"
#include "combiner/model.h"

namespace combiner {

// How the model's distribution is changed before a value is drawn from it; by default not at all.
// First the temperature, then top_k, then top_p of what is left.
struct ChoiceOptions {
  double temperature = 1;  // divides the logits; 0 takes the likeliest value
  int top_k = 256;         // only that many of the likeliest values
  double top_p = 1;        // only the fewest likeliest values that together have this probability
};

// Which images: `count` of the seed's endless sequence from `first_index` on. Image k of a seed is
// the same, to the last bit, whatever the count, the batch and the threads.
struct SampleOptions {
  int64_t count = 1;
  int64_t first_index = 0;
  uint64_t seed = 0;
  ChoiceOptions choice = {};
  int batch = 32;  // images to a thread that are decoded at once, at most
  int threads = 1;
};

// What happens meanwhile; any may be empty. Those that return nothing are called one at a time,
// from the sampling's threads. What one throws ends the sampling, and draw() throws it.
struct SampleEvents {
  // A row of image `index`: pixels [width, 3].
  std::function<void(int64_t index, int row, std::span<const uint8_t> pixels)> row_done;
  std::function<void(int64_t index, Image image)> image_done;
  // Asked before every position of a batch, by all threads; true ends the sampling.
  std::function<bool()> cancelled;
};

// Draws images in batches, each on one thread or, where a short trial finds that faster, on several
// together; they are smaller than `batch` allows where that keeps all threads at work. Keeps the
// packed weights and the images' memory from one drawing to the next.
class Sampler {
 public:
  // Throws Error if an option makes no sense or the model's images are not of three channels.
  // `model` must outlive it.
  Sampler(const Model& model, const SampleOptions& options);
  ~Sampler();
  Sampler(Sampler&&) noexcept;
  Sampler& operator=(Sampler&&) noexcept;

  // Returns false if cancelled, true once all images are done. May be called again, whatever became
  // of the call before.
  bool draw(const SampleEvents& events);

 private:
  class Drawing;

  std::unique_ptr<Drawing> drawing_;
};

// Draws once.
bool sample(const Model& model, const SampleOptions& options, const SampleEvents& events);

}  // namespace combiner
