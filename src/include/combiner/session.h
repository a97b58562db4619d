// Decoding images position by position: what sampling, and all else that draws or codes, stands on.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "combiner/model.h"

namespace combiner {

// How far one image has been decoded: its pixels so far, and the model's KV cache of them.
struct ImageState {
  virtual ~ImageState() = default;
  // A copy that goes on exactly as the original does.
  virtual std::unique_ptr<ImageState> clone() const = 0;

  int64_t position = 0;         // the next one; set to 0, a new image begins
  std::vector<uint8_t> pixels;  // [height, width, channels], known before `position`
};

// Given the logits [vocab_size] of a sub-pixel of images[image], returns its value, drawn from them
// or already known. Sub-pixels are counted in raster order, channels interleaved.
using ChooseValue =
    std::function<uint8_t(size_t image, int64_t subpixel, std::span<const float> logits)>;

// Decodes images that may stand at different positions; they belong to the caller, and may be added
// to the batch, left out of it, cloned and dropped between steps. An image's numbers do not depend,
// to the last bit, on those beside it, nor on the threads. One team of threads to a session.
class Session {
 public:
  // For up to `batch` images a step, on a team of `team` threads. `model` must outlive it.
  Session(const Model& model, int64_t batch, int team = 1);
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  // An image at its first position.
  std::unique_ptr<ImageState> new_image() const;

  // Decodes each image's next position, calling `choose` for each of its sub-pixels in order; the
  // last one's end must not have been reached. Each thread of the team calls it with a rank of its
  // own, 0 .. team - 1, and otherwise the same arguments; all return when the position is done.
  // A team's threads call `choose` for several images at once.
  void step(std::span<ImageState* const> images, const ChooseValue& choose, int rank = 0);

  // Brings an image from its first position to row `rows` of `pixels` [height, width, channels],
  // which are known up to there. By steps, for the parallel pass sums in another order: its KV
  // cache has other bits. For a team of one.
  void prefill(ImageState& image, std::span<const uint8_t> pixels, int rows);

  // A team's threads wait here for each other.
  void wait(int rank);
  // To be called when a thread has thrown: the others throw BrokenBarrier, now or when they come to
  // wait. The session is then of no more use.
  void abandon();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace combiner
