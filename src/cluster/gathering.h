// Work that is divided among the ranks, with results that rank 0 takes as they come.
#pragma once

#include <atomic>
#include <functional>
#include <string>

#include "cluster/cluster.h"
#include "combiner/cancel.h"

namespace combiner {

// All ranks make one, give the results of their share of the work, and call finish(). Calls must be
// made one at a time, but for stopped(). Alone, rank 0 takes what it gives and that is all.
class Gathering {
 public:
  // take(rank, result) is called on rank 0, during the calls below. Once this rank's `cancel`,
  // which any thread may ask, says so, all ranks stop.
  Gathering(Cluster& cluster, std::function<void(int rank, std::string result)> take,
            Cancel cancel);

  void give(std::string result);
  // Takes what the others have given. Returns false once the work should end early.
  bool go_on();
  // Ends the work on all ranks.
  void stop();
  // Whether the work should end early, as far as is known here. Any thread may ask.
  bool stopped();
  // Waits until all ranks have finished. Returns false if the work was stopped.
  bool finish();
  // Does this rank's share, and finishes. If the work of a rank throws, it ends on all ranks, and
  // all throw (sum_unless_failed).
  bool finish_after(const std::function<void()>& work);

 private:
  void receive_all();
  void tell_others(char kind);

  Cluster& cluster_;
  const std::function<void(int, std::string)> take_;
  const Cancel cancel_;
  std::atomic<bool> asked_ = false;    // to stop, by cancel_
  std::atomic<bool> stopped_ = false;  // on all ranks
  int working_;  // how many ranks this one waits for: rank 0 for all others, and they for rank 0
};

}  // namespace combiner
