// Incremental decoding: the model's probabilities one position at a time, from what the positions
// before left behind. A position costs its row so far and a column of summaries (row-major), not
// the whole image.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "base/share.h"
#include "combiner/session.h"
#include "model/model.h"
#include "tensor/buffer.h"

namespace combiner {

// The KV cache of all blocks in T, float or bfloat16.
template <class T>
struct DecodeState final : ImageState {
  DecodeState(const ModelConfig& config, const ModelWeights& weights);
  std::unique_ptr<ImageState> clone() const override;

  // What a block keeps.
  T* block(size_t i) { return blocks_.data() + offsets_[i]; }
  // What all keep.
  size_t bytes() const { return blocks_.size() * sizeof(T); }

 private:
  DecodeState() = default;

  // All blocks' in one: arrays that are large have large pages.
  Buffer<T> blocks_;
  std::vector<size_t> offsets_;
};

// Decodes a batch of images, on one thread or on a team of them. An image's numbers do not depend,
// to the last bit, on those beside it, nor on the team. `config` and `weights`, packed for
// positions, must outlive it.
template <class T>
class Decoder {
 public:
  // For up to `batch` images at a time.
  Decoder(const ModelConfig& config, const ModelWeights& weights, int64_t batch, int team = 1);

  // The states are DecodeState<T>.
  // Decodes each image's next position, calling `choose` for each of its sub-pixels in order. The
  // images may stand at different positions, all before the last one's end. Each thread of the team
  // calls it with a rank of its own, 0 .. team - 1, and otherwise the same arguments; all return
  // when the position is done.
  void step(std::span<ImageState* const> states, const ChooseValue& choose, int rank = 0);

  // A team's threads wait here for each other.
  void wait(int rank) { threads_[static_cast<size_t>(rank)].team_worker.share.wait(); }
  // To be called when a thread has thrown: the others throw BrokenBarrier, now or when they come to
  // wait. The decoder is then of no more use.
  void abandon() { barrier_->break_up(); }

 private:
  // What a thread computes with.
  struct Thread {
    Thread(const ModelConfig& config, Share share, size_t batch)
        : parts(config, 1), attention(batch), images(batch) {
      team_worker.share = share;
    }

    Worker team_worker;
    Worker own_worker;
    SharedPartsActivations<T> parts;
    AttentionStepScratch<T> attention;
    std::vector<StepImage<T>> images;
  };

  void attend(std::span<ImageState* const> states, size_t layer, Thread& thread);
  void choose_values(std::span<ImageState* const> states, const ChooseValue& choose,
                     Thread& thread);
  void finish(std::span<ImageState* const> states, Thread& thread);

  const ModelConfig& config_;
  const ModelWeights& weights_;
  int64_t batch_;
  EmbeddingActivations<T> embedding_;
  OwnedMatrix<float> x_;
  BlockActivations<T> block_;
  OwnedMatrix<float> attended_;  // by a block, before it is rounded
  HeadActivations<T> head_;
  std::unique_ptr<SpinBarrier> barrier_;
  std::vector<Thread> threads_;
};

}  // namespace combiner
