#include "sampling/random.h"

#include <Random123/philox.h>

namespace combiner {

double sample_uniform(uint64_t seed, uint64_t image, uint64_t subpixel) {
  using Philox = r123::Philox2x64;
  const Philox::ctr_type bits = Philox()({{subpixel, image}}, {{seed}});
  return static_cast<double>(bits[0] >> 11) * 0x1p-53;
}

}  // namespace combiner
