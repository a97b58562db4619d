// Incremental decoding: the model's probabilities one position at a time, from what the positions
// before left behind. A position costs its row so far and a column of summaries (row-major), not
// the whole image.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "model/activations.h"
#include "model/config.h"
#include "model/head.h"
#include "model/layers.h"
#include "model/model.h"
#include "tensor/buffer.h"
#include "tensor/share.h"
#include "tensor/thread_team.h"

namespace combiner {

// The dense weights in panels, rounded to the precision, by `threads`. Vectors and tables are bound
// where they lie in `weights`, which must outlive the result. May be shared by threads.
ModelWeights<PanelWeights> pack_panels(const Weights& weights, Precision precision,
                                       ThreadTeam& threads);

// How far one image has been decoded. A clone goes on exactly as the original does.
template <class T>
struct DecodeState {
  explicit DecodeState(const ModelConfig& config, KeptSummaries summaries = KeptSummaries::as_made);
  DecodeState clone() const;

  // What a layer's attention keeps.
  T* layer(size_t i) { return layers_.data() + offsets_[i]; }
  // What all keep.
  size_t bytes() const { return layers_.size() * sizeof(T); }

  int64_t position = 0;    // the next one; set to 0, a new image begins
  Buffer<uint8_t> pixels;  // [height, width, channels], known before `position`

 private:
  DecodeState() = default;

  // All layers in one: arrays that are large have large pages.
  Buffer<T> layers_;
  std::vector<size_t> offsets_;
};

// Decodes a batch of images, on one thread or on a team of them. An image's numbers do not depend,
// to the last bit, on those beside it, nor on the team. T is float or bfloat16. `config` and
// `weights` must outlive it.
template <class T>
class Decoder {
 public:
  // Given the logits [V] of a sub-pixel of states[image], returns its value, a model's own choice
  // or one already known. Sub-pixels are counted in raster order, channels interleaved. A team's
  // threads call it for several images at once.
  using Choose =
      std::function<uint8_t(size_t image, int64_t subpixel, std::span<const float> logits)>;

  // For up to `batch` images at a time.
  Decoder(const ModelConfig& config, const ModelWeights<PanelWeights>& weights, int64_t batch,
          int team = 1);

  // Decodes each image's next position, calling `choose` for each of its sub-pixels in order. The
  // images may stand at different positions, all before the last one's end. Each thread of the team
  // calls it with a rank of its own, 0 .. team - 1, and otherwise the same arguments; all return
  // when the position is done.
  void step(std::span<DecodeState<T>> states, const Choose& choose, int rank = 0);

  // A team's threads wait here for each other.
  void wait(int rank) { threads_[static_cast<size_t>(rank)].together.share.wait(); }
  // To be called when a thread has thrown: the others throw BrokenBarrier, now or when they come to
  // wait. The decoder is then of no more use.
  void abandon() { barrier_->break_up(); }

 private:
  // What a thread computes with.
  struct Thread {
    Thread(const ModelConfig& config, Share share, int64_t batch)
        : attention(config, 1), lines(static_cast<size_t>(batch)) {
      together.share = share;
    }

    Worker together;
    Worker alone;
    SharedAttentionActivations<T> attention;
    // Of each image that the thread attends.
    std::vector<KeyLines<T>> lines;
    std::vector<DecodedPosition<T>> positions;
  };

  void attend(std::span<DecodeState<T>> states, size_t layer, Thread& thread);
  void choose_values(std::span<DecodeState<T>> states, const Choose& choose, Thread& thread);
  void complete(std::span<DecodeState<T>> states, Thread& thread);

  const ModelConfig& config_;
  const ModelWeights<PanelWeights>& weights_;
  AttentionShape shape_;
  int64_t batch_;
  Buffer<float> sinusoids_;
  OwnedMatrix<float> x_;
  OwnedMatrix<T> stem_in_;
  BlockActivations<T> block_;
  OwnedMatrix<float> attended_;  // by a block, before it is rounded
  HeadActivations<T> head_;
  std::unique_ptr<SpinBarrier> barrier_;
  std::vector<Thread> threads_;
};

}  // namespace combiner
