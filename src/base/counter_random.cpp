#include "base/counter_random.h"

#include <Random123/philox.h>

namespace combiner {

double counter_uniform(uint64_t seed, uint64_t stream, uint64_t index) {
  using Philox = r123::Philox2x64;
  const Philox::ctr_type bits = Philox()({{index, stream}}, {{seed}});
  return static_cast<double>(bits[0] >> 11) * 0x1p-53;
}

}  // namespace combiner
