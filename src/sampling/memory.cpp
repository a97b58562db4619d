#include "sampling/memory.h"

#include <algorithm>

#include "combiner/sampler.h"

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
  SamplingMemory memory;
  const auto bytes = [&](size_t offset, int64_t out, int64_t in) {
    return bytes_of(out, in, weight_precision(weights.parameters, offset, precision));
  };
  for (const auto& [offset, out, in] : weights.parameters.dense)
    memory.weights += bytes(offset, out, in);
  for (const BlockParameters& block : weights.parameters.blocks) {
    if (!block.attention.summary) continue;
    for (const DenseParameters* dense :
         {&block.attention.summary->output, &block.attention.summary->key})
      memory.summary_weights += bytes(dense->weight, dense->out, dense->in);
  }
  const AttentionShape shape = attention_shape(weights.config, kept_summaries(precision));
  const auto state_bytes = [&]<class T>(Attention attention) {
    return block_state_size<T>(attention, shape) * static_cast<int64_t>(sizeof(T));
  };
  for (const Attention attention : weights.config.attention)
    memory.state += product_type(precision) == ElementType::f32
                        ? state_bytes.operator()<float>(attention)
                        : state_bytes.operator()<bfloat16>(attention);
  return memory;
}

int suggested_batch(const SamplingMemory& memory, int threads, int64_t bytes) {
  // A larger batch spends most of its time reading the images' states, not the weights, and the
  // states no longer stay in the cache.
  constexpr int64_t kMaxBatch = SampleOptions{}.batch;
  return static_cast<int>(std::clamp<int64_t>(bytes / 4 / threads / memory.state, 1, kMaxBatch));
}

}  // namespace combiner
