// What one thread computes with.
#pragma once

#include "base/share.h"
#include "kernels/scratch.h"
#include "matmul/matmul.h"

namespace combiner {

// The thread's share of work done jointly with other threads, and the primitives and scratch memory
// that its products reuse from call to call.
struct Worker {
  Share share;
  Multiplier multiplier;
  Scratch scratch;
};

}  // namespace combiner
