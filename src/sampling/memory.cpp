#include "sampling/memory.h"

#include "model/attention/attention.h"
#include "model/layers.h"

namespace combiner {

SamplingMemory sampling_memory(const Weights& weights, Precision precision) {
  const int64_t element_bytes = precision == Precision::bf16 ? sizeof(bfloat16) : sizeof(float);
  SamplingMemory memory;
  struct Bytes {
    int64_t count = 0;
  };
  const ModelWeights<Bytes> layers = bind_weights<Bytes>(
      weights.config, weights.parameters, weights.values.data(),
      [&](size_t offset, int64_t out, int64_t in) {
        const bool is_int8 = weight_precision(weights, offset, precision) == Precision::int8;
        const Bytes layer{is_int8 ? out * (in + int64_t{sizeof(float)}) : out * in * element_bytes};
        memory.weights += layer.count;
        return layer;
      });
  for (const BlockWeights<Bytes>& block : layers.blocks)
    memory.summary_weights += block.summary.output.count + block.summary.key.count;
  for (const Attention attention : weights.config.attention)
    memory.state +=
        attention_state_size(attention, weights.config.attention_shape()) * element_bytes;
  return memory;
}

}  // namespace combiner
