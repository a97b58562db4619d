#include "cluster/cluster.h"

namespace combiner {

Cluster& single_process() {
  static Cluster alone;  // has no state
  return alone;
}

}  // namespace combiner
