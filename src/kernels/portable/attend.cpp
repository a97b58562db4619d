// Attention of tiles.

#include "kernels/attend.h"

#include "kernels/portable/portable.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/portable/attend.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/portable/attend-inl.h"
#include "kernels/portable/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Stores a query's result or merges it with the one already there. `mean` is the sum of the values
// weighted by exp(logit - maximum).
HWY_INLINE void Finish(const float* mean, RowSoftmax softmax, int64_t visible, int64_t head_dim,
                       Merge merge, float* out, float& lse) {
  if (visible == 0) {
    if (merge == Merge::replace) {
      std::fill_n(out, head_dim, 0.0f);
      lse = -HUGE_VALF;
    }
    return;
  }
  const float part_lse = softmax.maximum + std::log(softmax.sum);
  if (merge == Merge::replace || lse == -HUGE_VALF) {
    lse = part_lse;
    WeightedSum(mean, 1.0f / softmax.sum, out, 0.0f, head_dim, out);
    return;
  }
  const float high = std::max(lse, part_lse);
  const float merged = high + std::log(std::exp(lse - high) + std::exp(part_lse - high));
  const float old_weight = std::exp(lse - merged);
  lse = merged;
  WeightedSum(mean, std::exp(softmax.maximum - merged), out, old_weight, head_dim, out);
}

// A tile with a single query. Keys and values are read only once, so they are not packed.
template <class T>
void AttendOne(const AttentionTile<T>& tile, const AttentionOutput<T>& output, Merge merge,
               Scratch& scratch) {
  const int64_t keys = tile.visible_keys();
  const int64_t columns = RoundUp(keys);
  const int64_t padded_dim = RoundUp(tile.head_dim);
  float* query = scratch.reserve<float>(static_cast<size_t>(2 * padded_dim + columns + kKeyGroup));
  float* mean = query + padded_dim;
  float* probability = mean + padded_dim;
  const KvSpan<T> span{tile.key, tile.key_stride, tile.value, tile.value_stride, keys};

  ScaleToFloat(tile.query, tile.head_dim, tile.scale, query);
  SpanLogits(query, 1, tile.head_dim, span, probability, 0);
  const RowSoftmax softmax = Exponentials(probability, keys, columns);
  HeadMean<T>({&span, 1}, 0, tile.head_dim, probability, mean);
  Finish(mean, softmax, keys, tile.head_dim, merge, output.out, *output.lse);
}

template <class T>
void AttendHead(const AttentionTile<T>& tile, const AttentionOutput<T>& output, Merge merge,
                Scratch& scratch) {
  if (tile.queries == 1) return AttendOne(tile, output, merge, scratch);
  // Later queries see at least as many keys, so the last query of a tile or block sees the most.
  const int64_t keys = tile.visible_keys();
  const int64_t padded_keys = RoundUp(keys);
  const int64_t head_dim = tile.head_dim;
  const int64_t padded_dim = RoundUp(head_dim);

  float* query = scratch.reserve<float>(static_cast<size_t>((kQueryBlock + keys * 2) * padded_dim +
                                                            (head_dim + kQueryBlock) * padded_keys +
                                                            kQueryBlock * padded_dim));
  float* key = query + kQueryBlock * padded_dim;
  float* value = key + keys * padded_dim;
  float* key_transposed = value + keys * padded_dim;
  float* probability = key_transposed + head_dim * padded_keys;
  float* mean = probability + kQueryBlock * padded_keys;

  PackRows(tile.key, tile.key_stride, keys, head_dim, 1.0f, key, padded_dim);
  TransposePacked(key, keys, head_dim, padded_dim, key_transposed, padded_keys);
  PackRows(tile.value, tile.value_stride, keys, head_dim, 1.0f, value, padded_dim);

  for (int64_t first = 0; first < tile.queries; first += kQueryBlock) {
    const int64_t block = std::min(kQueryBlock, tile.queries - first);
    const int64_t block_keys = tile.visible.of(tile.keys, first + block - 1);
    const int64_t block_columns = RoundUp(block_keys);
    PackRows(tile.query + first * tile.query_stride, tile.query_stride, block, head_dim, tile.scale,
             query, padded_dim);
    TileProduct<false>(block, block_columns, head_dim, query, padded_dim, 1, key_transposed,
                       padded_keys, probability, padded_keys);

    RowSoftmax softmax[kQueryBlock];
    for (int64_t i = 0; i < block; ++i)
      softmax[i] = Exponentials(probability + i * padded_keys,
                                tile.visible.of(tile.keys, first + i), block_columns);
    TileProduct<false>(block, padded_dim, block_keys, probability, padded_keys, 1, value,
                       padded_dim, mean, padded_dim);
    for (int64_t i = 0; i < block; ++i)
      Finish(mean + i * padded_dim, softmax[i], tile.visible.of(tile.keys, first + i), head_dim,
             merge, output.out + (first + i) * output.out_stride,
             output.lse[(first + i) * output.lse_stride]);
  }
}

template <class T>
void Attend(const AttentionTile<T>& tile, const AttentionOutput<T>& output, Merge merge,
            Scratch& scratch) {
  for (int64_t h = 0; h < tile.heads; ++h) {
    const int64_t at = h * tile.head_dim;
    const AttentionOutput<T> of_head{output.out + at,       output.out_stride, output.rounded + at,
                                     output.rounded_stride, output.lse + h,    output.lse_stride};
    AttendHead(OneHead(tile, h), of_head, merge, scratch);
  }
  for (int64_t i = 0; i < tile.queries; ++i)
    ConvertRow(output.out + i * output.out_stride, tile.heads * tile.head_dim,
               output.rounded + i * output.rounded_stride);
}

template <class T>
void AttendTwice(const AttentionTile<T>& tile, const AttentionOutput<T>& output,
                 const AttentionOutput<T>& whole, Scratch& scratch) {
  AttentionTile<T> all = tile;
  all.visible = Visible::all();
  Attend(all, whole, Merge::replace, scratch);
  Attend(tile, output, Merge::replace, scratch);
}

// Highway's dispatch needs plain functions, not templates.
void AttendFloat(const AttentionTile<float>& tile, const AttentionOutput<float>& output,
                 Merge merge, Scratch& scratch) {
  Attend(tile, output, merge, scratch);
}
void AttendBfloat16(const AttentionTile<bfloat16>& tile, const AttentionOutput<bfloat16>& output,
                    Merge merge, Scratch& scratch) {
  Attend(tile, output, merge, scratch);
}
void AttendCausalAndFullFloat(const AttentionTile<float>& tile,
                              const AttentionOutput<float>& output,
                              const AttentionOutput<float>& whole, Scratch& scratch) {
  AttendTwice(tile, output, whole, scratch);
}
void AttendCausalAndFullBfloat16(const AttentionTile<bfloat16>& tile,
                                 const AttentionOutput<bfloat16>& output,
                                 const AttentionOutput<bfloat16>& whole, Scratch& scratch) {
  AttendTwice(tile, output, whole, scratch);
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace combiner {

HWY_EXPORT(AttendFloat);
HWY_EXPORT(AttendBfloat16);
HWY_EXPORT(AttendCausalAndFullFloat);
HWY_EXPORT(AttendCausalAndFullBfloat16);

namespace portable {

template <>
void attend(const AttentionTile<float>& tile, const AttentionOutput<float>& output, Merge merge,
            Scratch& scratch) {
  HWY_DYNAMIC_DISPATCH(AttendFloat)(tile, output, merge, scratch);
}
template <>
void attend(const AttentionTile<bfloat16>& tile, const AttentionOutput<bfloat16>& output,
            Merge merge, Scratch& scratch) {
  HWY_DYNAMIC_DISPATCH(AttendBfloat16)(tile, output, merge, scratch);
}
template <>
void attend_causal_and_full(const AttentionTile<float>& tile, const AttentionOutput<float>& output,
                            const AttentionOutput<float>& whole, Scratch& scratch) {
  HWY_DYNAMIC_DISPATCH(AttendCausalAndFullFloat)(tile, output, whole, scratch);
}
template <>
void attend_causal_and_full(const AttentionTile<bfloat16>& tile,
                            const AttentionOutput<bfloat16>& output,
                            const AttentionOutput<bfloat16>& whole, Scratch& scratch) {
  HWY_DYNAMIC_DISPATCH(AttendCausalAndFullBfloat16)(tile, output, whole, scratch);
}

}  // namespace portable
}  // namespace combiner
#endif  // HWY_ONCE
