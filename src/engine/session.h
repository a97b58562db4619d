// Decoding images with a model, whatever its precision: what sampling, and all else that goes
// position by position, stands on.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <variant>

#include "engine/model.h"
#include "model/decoder.h"
#include "model/image_state.h"

namespace combiner {

// Decodes images that may stand at different positions; they belong to the caller, and may be added
// to the batch, left out of it, cloned and dropped between steps. An image's numbers do not depend,
// to the last bit, on those beside it, nor on the threads. One team of threads to a session.
class Session {
 public:
  // For up to `batch` images a step, on a team of `team` threads. `model` must outlive it.
  Session(const Model& model, int64_t batch, int team = 1);

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
  const Model& model_;
  std::variant<Decoder<float>, Decoder<bfloat16>> decoder_;
};

}  // namespace combiner
