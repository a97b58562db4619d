// How the program was started: alone, or by MPI as one of many.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "cluster/cluster.h"

namespace combiner {

// Where mpirun or srun has started the process, joins the cluster; from then on, only rank 0 is
// heard, but for fail().
//
// The program then goes on in a child, and the process that was started waits for it: if the child
// is killed, it says so and exits with 1, which ends all ranks. Signals are passed on.
class Launch {
 public:
  // Must be made before there are threads. Throws Error if MPI can't be used.
  explicit Launch(std::string program);
  ~Launch();
  Launch(const Launch&) = delete;
  Launch& operator=(const Launch&) = delete;

  Cluster& cluster() { return cluster_ ? *cluster_ : single_process(); }

  // Says the message, unless it is empty, and, on a cluster, ends all ranks: the program's exit
  // code is `code`. Where several ranks fail for the same reason, the first one speaks for them.
  void fail(std::string_view message, int code);

 private:
  std::string program_;
  std::unique_ptr<Cluster> cluster_;
  int standard_error_;
};

}  // namespace combiner
