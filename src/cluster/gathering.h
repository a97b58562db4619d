// Work that is divided among the ranks, with results that rank 0 takes as they come.
#pragma once

#include <functional>
#include <string>

#include "cluster/cluster.h"

namespace combiner {

// All ranks make one, give the results of their share of the work, and call finish(). Calls must be
// made one at a time. Alone, rank 0 takes what it gives and that is all.
class Gathering {
 public:
  // take(rank, result) is called on rank 0, during the calls below. `cancelled` says that this rank
  // was asked to stop; all ranks then stop.
  Gathering(Cluster& cluster, std::function<void(int rank, std::string result)> take,
            std::function<bool()> cancelled);

  void give(std::string result);
  // Takes what the others have given. Returns false once the work should end early.
  bool go_on();
  // Ends the work on all ranks.
  void stop();
  // Waits until all ranks have finished. Returns false if the work was stopped.
  bool finish();

 private:
  void receive_all();
  void tell_others(char kind);

  Cluster& cluster_;
  const std::function<void(int, std::string)> take_;
  const std::function<bool()> cancelled_;
  bool stopped_ = false;
  int working_;  // how many ranks this one waits for: rank 0 for all others, and they for rank 0
};

// The part of `count` items that this rank does, if it does consecutive ones.
struct RankShare {
  int64_t first, count;
};
RankShare share_of(const Cluster& cluster, int64_t count);

}  // namespace combiner
