// Decoding images one position at a time: the basis of sampling and of anything else that draws or
// encodes images.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "combiner/cancel.h"
#include "combiner/image.h"
#include "combiner/model.h"

namespace combiner {

// The progress of one image: its pixels so far and the model's KV cache for them.
struct ImageState {
  virtual ~ImageState() = default;
  // Returns a copy that continues exactly as the original would.
  virtual std::unique_ptr<ImageState> clone() const = 0;
  // Becomes a copy of `other`, an image of the same model and precision. Unlike clone(), takes no
  // new memory.
  virtual void assign(const ImageState& other) = 0;

  // The next position: of a pixel or, where those are the model's tokens, of a sub-pixel. Setting
  // it to 0 begins a new image.
  int64_t position = 0;
  std::vector<uint8_t> pixels;  // [height, width, channels]; valid for the positions before
};

// Receives the logits [vocab_size] of a sub-pixel of images[image] and returns its value, drawn
// from them or already known. Sub-pixels are numbered in raster order, channels interleaved. The
// logits are valid during the call only.
using ChooseValue =
    std::function<uint8_t(size_t image, int64_t subpixel, std::span<const float> logits)>;

// Decodes batches of images, which may be at different positions. The images belong to the caller,
// who may add them to the batch, leave them out, clone them and destroy them between steps. The
// results for an image are bit-identical whatever else is in the batch and however many threads the
// team has. A session serves one team of threads.
class Session {
 public:
  // Prepares for up to `batch` images per step and a team of `team` threads. Shares the model's
  // weights, so `model` may be moved and need not outlive the session. Throws
  // std::invalid_argument unless both numbers are at least 1.
  Session(const Model& model, int64_t batch, int team = 1);
  ~Session();
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;

  // Returns an image at its first position.
  std::unique_ptr<ImageState> new_image() const;

  // Decodes the next position of each image, calling `choose` for each of its sub-pixels in order.
  // Every thread of the team must call this with its own rank, 0 .. team - 1, and otherwise the
  // same arguments; all return when the position is done. The threads call `choose` concurrently,
  // for different images. Throws std::invalid_argument if there are more than `batch` images or an
  // image is already complete. If `choose` throws in a team of one thread, the images are still at
  // this position and the step may be repeated; in a larger team, see abandon().
  void step(std::span<ImageState* const> images, const ChooseValue& choose, int rank = 0);

  // Decodes images whose pixels are known, up to and including row `rows` - 1, from where they are.
  // known[i] has the pixels of images[i]. It works step by step: the parallel pass sums in a
  // different order, which would give the KV cache different bits. Polls `cancel` before each
  // position. Before the first, throws std::invalid_argument if the team has several threads, if
  // the images are not all at the same position, if `known` has not as many images of the model's
  // size, or if `rows` is not 0 to the height.
  void prefill(std::span<ImageState* const> images, std::span<const Image> known, int rows,
               const Cancel& cancel = {});

  // A barrier for the threads of the team.
  void wait(int rank);
  // Call this when a thread of the team has thrown. The other threads then throw BrokenBarrier in
  // their current or next wait, and the session can no longer be used.
  void abandon();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace combiner
