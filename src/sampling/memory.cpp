#include "sampling/memory.h"

#include "model/attention/attention.h"
#include "model/layers.h"

namespace combiner {
namespace {

int64_t bytes_of(int64_t out, int64_t in, Precision precision) {
  switch (precision) {
    case Precision::int8:
      return out * (in + int64_t{sizeof(float)});
    case Precision::bf16:
      return out * in * int64_t{sizeof(bfloat16)};
    default:
      return out * in * int64_t{sizeof(float)};
  }
}

}  // namespace

SamplingMemory sampling_memory(const Weights& weights, Precision precision) {
  const int64_t state_bytes = precision == Precision::f32 ? sizeof(float) : sizeof(bfloat16);
  SamplingMemory memory;
  struct Bytes {
    int64_t count = 0;
  };
  const ModelWeights<Bytes> layers = bind_weights<Bytes>(
      weights.config, weights.parameters, weights.values.data(),
      [&](size_t offset, int64_t out, int64_t in) {
        const Bytes layer{bytes_of(out, in, weight_precision(weights, offset, precision))};
        memory.weights += layer.count;
        return layer;
      });
  for (const BlockWeights<Bytes>& block : layers.blocks)
    memory.summary_weights += block.summary.output.count + block.summary.key.count;
  for (const Attention attention : weights.config.attention)
    memory.state += attention_state_size(attention, weights.config.attention_shape()) * state_bytes;
  return memory;
}

}  // namespace combiner
