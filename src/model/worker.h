// What one thread computes with.
#pragma once

#include "base/share.h"
#include "combiner/cancel.h"
#include "kernels/scratch.h"
#include "matmul/matmul.h"

namespace combiner {

// The thread's share of work done jointly with other threads, and the primitives and scratch memory
// that its products reuse from call to call.
struct Worker {
  Share share;
  // Polled before each product and each piece of attention, which take a fraction of a second at
  // most. Only for a worker whose share is all of the work: others would wait for it.
  Cancel cancel;
  Multiplier multiplier;
  Scratch scratch;
};

}  // namespace combiner
