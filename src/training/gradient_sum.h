// Adds up the gradients of all threads and ranks while the backward pass is still under way.
#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>
#include <span>
#include <vector>

#include "cluster/cluster.h"
#include "tensor/buffer.h"

namespace combiner {

// The flat buffers are cut in pieces. As soon as all threads are past a piece, they add it up among
// them, into the first thread's buffer, and its sum over the ranks begins. What is added in which
// order depends on the number of threads and of ranks only.
class GradientSum {
 public:
  // `gradients`, one a thread, must outlive this.
  GradientSum(std::vector<Buffer<float>>& gradients, Cluster& cluster);

  // Before the threads begin.
  void begin();
  // A thread's gradient is complete from `offset` on, and will be left alone there.
  void done_from(size_t thread, size_t offset);
  // After the threads have ended, even if some have failed; the sum then means nothing.
  void finish();

 private:
  struct Piece {
    size_t begin = 0, size = 0;
    std::atomic<size_t> threads = 0;     // that are past it
    std::atomic<size_t> next_chunk = 0;  // that no thread adds up yet
    std::atomic<size_t> chunks_done = 0;
  };

  void add_up_what_is_there();
  void add_up(const Piece& piece, size_t chunk);
  void begin_sums(bool all);

  std::vector<Buffer<float>>& gradients_;
  Cluster& cluster_;
  std::vector<Piece> pieces_;       // from the last to the first, as backward passes go
  std::vector<size_t> next_piece_;  // of each thread
  std::mutex mutex_;                // guards what follows: sums begin in the order of the pieces
  size_t begun_ = 0;
};

}  // namespace combiner
