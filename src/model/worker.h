// What one thread computes with.
#pragma once

#include "base/share.h"
#include "kernels/scratch.h"
#include "matmul/matmul.h"

namespace combiner {

// Its share of what it does together with others, and products' primitives and scratch memory, kept
// from call to call.
struct Worker {
  Share share;
  Multiplier multiplier;
  Scratch scratch;
};

}  // namespace combiner
