// Incremental decoding: the model's predictions one position at a time, from the state that earlier
// positions left. With axial_rowmajor a position reads its row so far and one column of summaries,
// not the whole image.
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
  void assign(const ImageState& other) override;

  // The state of one block.
  T* block(size_t i) { return blocks_.data() + offsets_[i]; }
  // The size of all blocks' states.
  size_t bytes() const { return blocks_.size() * sizeof(T); }

 private:
  DecodeState() = default;

  // One buffer for all blocks, because only large arrays get large pages.
  Buffer<T> blocks_;
  std::vector<size_t> offsets_;
};

// Decodes batches of images on one thread or on a team of threads. The results for an image are
// bit-identical whatever else is in the batch and whatever the team. `config` and `weights`, which
// must be packed for positions, must outlive the decoder.
template <class T>
class Decoder {
 public:
  // Prepares for up to `batch` images per step.
  Decoder(const ModelConfig& config, const ModelWeights& weights, int64_t batch, int team = 1);

  // Decodes the next position of each image, as Session::step does. The states must be
  // DecodeState<T>. Every thread of the team calls this with its own rank, 0 .. team - 1, and
  // otherwise the same arguments; all return when the position is done. Throws
  // std::invalid_argument if there are more than `batch` images or an image is already complete.
  void step(std::span<ImageState* const> states, const ChooseValue& choose, int rank = 0);

  // A barrier for the threads of the team.
  void wait(int rank) { threads_[static_cast<size_t>(rank)].team_worker.share.wait(); }
  // Called when a thread of the team has thrown. The others then throw BrokenBarrier in their
  // current or next wait, and the decoder can no longer be used.
  void abandon() { barrier_->break_up(); }

 private:
  // What one thread works with: its part in the team's work, and what it does by itself.
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
  OwnedMatrix<float> attended_;  // a block's attention output before rounding to T
  HeadActivations<T> head_;
  std::unique_ptr<SpinBarrier> barrier_;
  std::vector<Thread> threads_;
};

}  // namespace combiner
