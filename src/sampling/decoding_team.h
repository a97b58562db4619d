// A team of threads that decodes one batch of images, position by position.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "combiner/session.h"
#include "sampling/pace.h"

namespace combiner {

// The threads decode together or, where that is faster, leave a position to the first of them. All
// of decode(), step() and wait() are called by every thread of the team with its own rank, 0 ..
// size() - 1, and otherwise the same arguments.
class DecodingTeam {
 public:
  // What to do before each position.
  enum class Next : uint8_t { step, finish, stop };

  // Prepares for up to `batch` images at once.
  DecodingTeam(const Model& model, int64_t batch, int size);

  int size() const { return static_cast<int>(followed_.size()); }

  // Decodes one position of each image after another, until `next`, which the first thread asks
  // before each, says finish or stop. Returns true in all threads if it was finish.
  bool decode(std::span<ImageState* const> images, const ChooseValue& choose,
              const std::function<Next()>& next, int rank);

  // Decodes a single position, always together.
  void step(std::span<ImageState* const> images, const ChooseValue& choose, int rank) {
    session_.step(images, choose, rank);
  }

  // A barrier.
  void wait(int rank) { session_.wait(rank); }

  // Call this when a thread of the team has thrown; see Session::abandon.
  void abandon();

 private:
  // What the first thread has the others do next.
  enum class Order : uint8_t { step, rest, finish, stop };

  void lead(std::span<ImageState* const> images, const ChooseValue& choose);
  bool follow(std::span<ImageState* const> images, const ChooseValue& choose, int rank);
  void give(Order order);
  void wake();

  Session session_;
  std::optional<Session> alone_;  // the first thread's, in a team of several
  // Set by the first thread.
  TeamPace pace_;
  bool resting_ = false;
  // The orders in turns: one is not overwritten before all threads have read the next.
  Order orders_[2] = {};
  uint32_t given_ = 0;
  struct alignas(64) Followed {
    uint32_t orders = 0;
  };
  std::vector<Followed> followed_;  // by rank
  std::atomic<uint32_t> wakes_ = 0;
};

}  // namespace combiner
