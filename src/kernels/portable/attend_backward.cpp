// The gradient of attention.

#include "kernels/attend.h"
#include "kernels/portable/portable.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/portable/attend_backward.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/portable/attend-inl.h"
#include "kernels/portable/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class T>
void AttendHeadBackward(const AttentionTile<T>& tile, const AttentionOutputGradient& output,
                        const AttentionGradient& gradient, Scratch& scratch) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t keys = tile.visible_keys();
  if (keys == 0) return;
  const int64_t padded_keys = RoundUp(keys);
  const int64_t head_dim = tile.head_dim;
  const int64_t padded_dim = RoundUp(head_dim);

  float* key = scratch.reserve<float>(
      static_cast<size_t>(3 * keys * padded_dim + 2 * head_dim * padded_keys +
                          2 * kQueryBlock * padded_keys + 3 * kQueryBlock * padded_dim));
  float* d_key = key + keys * padded_dim;
  float* d_value = d_key + keys * padded_dim;
  float* key_transposed = d_value + keys * padded_dim;
  float* value_transposed = key_transposed + head_dim * padded_keys;
  float* probability = value_transposed + head_dim * padded_keys;
  float* d_logit = probability + kQueryBlock * padded_keys;
  float* query = d_logit + kQueryBlock * padded_keys;
  float* d_out = query + kQueryBlock * padded_dim;
  float* d_query = d_out + kQueryBlock * padded_dim;

  // d_key is not used before the loop, so the values pass through it on the way to their transpose.
  PackRows(tile.value, tile.value_stride, keys, head_dim, 1.0f, d_key, padded_dim);
  TransposePacked(d_key, keys, head_dim, padded_dim, value_transposed, padded_keys);
  PackRows(tile.key, tile.key_stride, keys, head_dim, 1.0f, key, padded_dim);
  TransposePacked(key, keys, head_dim, padded_dim, key_transposed, padded_keys);
  std::fill_n(d_key, 2 * keys * padded_dim, 0.0f);

  for (int64_t first = 0; first < tile.queries; first += kQueryBlock) {
    const int64_t block = std::min(kQueryBlock, tile.queries - first);
    const int64_t block_keys = tile.visible.of(tile.keys, first + block - 1);
    if (block_keys == 0) continue;
    const int64_t block_columns = RoundUp(block_keys);
    PackRows(tile.query + first * tile.query_stride, tile.query_stride, block, head_dim, tile.scale,
             query, padded_dim);
    PackRows(output.d_out + first * output.d_out_stride, output.d_out_stride, block, head_dim, 1.0f,
             d_out, padded_dim);
    TileProduct<false>(block, block_columns, head_dim, query, padded_dim, 1, key_transposed,
                       padded_keys, probability, padded_keys);
    TileProduct<false>(block, block_columns, head_dim, d_out, padded_dim, 1, value_transposed,
                       padded_keys, d_logit, padded_keys);
    for (int64_t i = 0; i < block; ++i) {
      const int64_t visible = tile.visible.of(tile.keys, first + i);
      float* p = probability + i * padded_keys;
      float* s = d_logit + i * padded_keys;
      std::fill(p + visible, p + block_columns, -HUGE_VALF);
      const float query_lse = output.lse[(first + i) * output.lse_stride];
      const auto lse = hn::Set(d, visible > 0 ? query_lse : 0.0f);
      const auto delta = hn::Set(d, output.delta[(first + i) * output.delta_stride]);
      for (int64_t j = 0; j < block_columns; j += lanes) {
        const auto pj = FastExp(d, hn::Sub(hn::Load(d, p + j), lse));
        hn::Store(pj, d, p + j);
        hn::Store(hn::Mul(pj, hn::Sub(hn::Load(d, s + j), delta)), d, s + j);
      }
    }
    TileProduct<false>(block, padded_dim, block_keys, d_logit, padded_keys, 1, key, padded_dim,
                       d_query, padded_dim);
    TileProduct<true>(block_keys, padded_dim, block, d_logit, 1, padded_keys, query, padded_dim,
                      d_key, padded_dim);
    TileProduct<true>(block_keys, padded_dim, block, probability, 1, padded_keys, d_out, padded_dim,
                      d_value, padded_dim);
    for (int64_t i = 0; i < block; ++i) {
      float* to = gradient.query + (first + i) * gradient.query_stride;
      WeightedSum(d_query + i * padded_dim, tile.scale, to, 1.0f, head_dim, to);
    }
  }
  for (int64_t j = 0; j < keys; ++j) {
    float* to_key = gradient.key + j * gradient.key_stride;
    WeightedSum(d_key + j * padded_dim, 1.0f, to_key, 1.0f, head_dim, to_key);
    float* to_value = gradient.value + j * gradient.value_stride;
    WeightedSum(d_value + j * padded_dim, 1.0f, to_value, 1.0f, head_dim, to_value);
  }
}

template <class T>
void AttendBackward(const AttentionTile<T>& tile, const AttentionOutputGradient& output,
                    const AttentionGradient& gradient, Scratch& scratch) {
  for (int64_t h = 0; h < tile.heads; ++h) {
    const int64_t at = h * tile.head_dim;
    const AttentionOutputGradient of_head{output.d_out + at, output.d_out_stride,
                                          output.lse + h,    output.lse_stride,
                                          output.delta + h,  output.delta_stride};
    const AttentionGradient to_head{gradient.query + at, gradient.query_stride,
                                    gradient.key + at,   gradient.key_stride,
                                    gradient.value + at, gradient.value_stride};
    AttendHeadBackward(OneHead(tile, h), of_head, to_head, scratch);
  }
}

template <class T>
void AttendTwiceBackward(const AttentionTile<T>& tile, const AttentionOutputGradient& output,
                         const AttentionOutputGradient& whole,
                         const RoundedAttentionGradient<T>& gradient, Scratch& scratch) {
  const int64_t width = tile.heads * tile.head_dim;
  const AttentionGradient& sums = gradient.sums;
  for (int64_t j = 0; j < tile.keys; ++j) {
    std::fill_n(sums.key + j * sums.key_stride, width, 0.0f);
    std::fill_n(sums.value + j * sums.value_stride, width, 0.0f);
  }
  AttentionTile<T> all = tile;
  all.visible = Visible::all();
  AttendBackward(tile, output, sums, scratch);
  AttendBackward(all, whole, sums, scratch);
  for (int64_t i = 0; i < tile.queries; ++i)
    ConvertRow(sums.query + i * sums.query_stride, width,
               gradient.query + i * gradient.query_stride);
  for (int64_t j = 0; j < tile.keys; ++j) {
    ConvertRow(sums.key + j * sums.key_stride, width, gradient.key + j * gradient.key_stride);
    ConvertRow(sums.value + j * sums.value_stride, width,
               gradient.value + j * gradient.value_stride);
  }
}

// Highway's dispatch needs plain functions, not templates.
void AttendBackwardFloat(const AttentionTile<float>& tile, const AttentionOutputGradient& output,
                         const AttentionGradient& gradient, Scratch& scratch) {
  AttendBackward(tile, output, gradient, scratch);
}
void AttendBackwardBfloat16(const AttentionTile<bfloat16>& tile,
                            const AttentionOutputGradient& output,
                            const AttentionGradient& gradient, Scratch& scratch) {
  AttendBackward(tile, output, gradient, scratch);
}
void AttendCausalAndFullBackwardFloat(const AttentionTile<float>& tile,
                                      const AttentionOutputGradient& output,
                                      const AttentionOutputGradient& whole,
                                      const RoundedAttentionGradient<float>& gradient,
                                      Scratch& scratch) {
  AttendTwiceBackward(tile, output, whole, gradient, scratch);
}
void AttendCausalAndFullBackwardBfloat16(const AttentionTile<bfloat16>& tile,
                                         const AttentionOutputGradient& output,
                                         const AttentionOutputGradient& whole,
                                         const RoundedAttentionGradient<bfloat16>& gradient,
                                         Scratch& scratch) {
  AttendTwiceBackward(tile, output, whole, gradient, scratch);
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace combiner {

HWY_EXPORT(AttendBackwardFloat);
HWY_EXPORT(AttendBackwardBfloat16);
HWY_EXPORT(AttendCausalAndFullBackwardFloat);
HWY_EXPORT(AttendCausalAndFullBackwardBfloat16);

namespace portable {

template <>
void attend_backward(const AttentionTile<float>& tile, const AttentionOutputGradient& output,
                     const AttentionGradient& gradient, Scratch& scratch) {
  HWY_DYNAMIC_DISPATCH(AttendBackwardFloat)(tile, output, gradient, scratch);
}
template <>
void attend_backward(const AttentionTile<bfloat16>& tile, const AttentionOutputGradient& output,
                     const AttentionGradient& gradient, Scratch& scratch) {
  HWY_DYNAMIC_DISPATCH(AttendBackwardBfloat16)(tile, output, gradient, scratch);
}
template <>
void attend_causal_and_full_backward(const AttentionTile<float>& tile,
                                     const AttentionOutputGradient& output,
                                     const AttentionOutputGradient& whole,
                                     const RoundedAttentionGradient<float>& gradient,
                                     Scratch& scratch) {
  HWY_DYNAMIC_DISPATCH(AttendCausalAndFullBackwardFloat)(tile, output, whole, gradient, scratch);
}
template <>
void attend_causal_and_full_backward(const AttentionTile<bfloat16>& tile,
                                     const AttentionOutputGradient& output,
                                     const AttentionOutputGradient& whole,
                                     const RoundedAttentionGradient<bfloat16>& gradient,
                                     Scratch& scratch) {
  HWY_DYNAMIC_DISPATCH(AttendCausalAndFullBackwardBfloat16)(tile, output, whole, gradient, scratch);
}

}  // namespace portable
}  // namespace combiner
#endif  // HWY_ONCE
