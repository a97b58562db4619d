// Attention of decoded positions.

#include "kernels/attend.h"
#include "kernels/portable/portable.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/portable/attend_spans.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/portable/attend-inl.h"
#include "kernels/portable/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class T>
void AttendSpans(const DecodedPosition<T>& position, int64_t head_dim, float scale,
                 Scratch& scratch) {
  const auto& [query, heads, spans, int8, out] = position;
  int64_t exact_keys = 0;
  for (const KvSpan<T>& span : spans) exact_keys += span.keys;
  const int64_t keys = exact_keys + int8.keys;
  const int64_t columns = RoundUp(keys);
  const int64_t stride = RoundUp(keys + kKeyGroup);
  const int64_t dim = heads * head_dim;
  float* scaled = scratch.reserve<float>(
      static_cast<size_t>(RoundUp(dim) + heads * stride + RoundUp(head_dim)));
  float* probability = scaled + RoundUp(dim);
  float* int8_mean = probability + heads * stride;

  ScaleToFloat(query, dim, scale, scaled);
  float* logit = probability;
  for (const KvSpan<T>& span : spans) {
    SpanLogits(scaled, heads, head_dim, span, logit, stride);
    logit += span.keys;
  }
  if (int8.keys > 0) SpanLogits(scaled, heads, head_dim, int8, logit, stride);
  for (int64_t h = 0; h < heads; ++h) {
    float* row = probability + h * stride;
    float* to = out + h * head_dim;
    const RowSoftmax softmax = Exponentials(row, keys, columns);
    HeadMean(spans, h * head_dim, head_dim, row, to);
    if (int8.keys > 0) {
      float* weight = row + exact_keys;
      for (int64_t j = 0; j < int8.keys; ++j) weight[j] *= int8.value_scale[j];
      const KvSpan<int8_t>& span = int8;
      HeadMean<int8_t>({&span, 1}, h * head_dim, head_dim, weight, int8_mean);
      for (int64_t d = 0; d < head_dim; ++d) to[d] += int8_mean[d];
    }
    WeightedSum(to, 1.0f / softmax.sum, to, 0.0f, head_dim, to);
  }
}

template <class T>
void AttendAll(std::span<const DecodedPosition<T>> positions, int64_t head_dim, float scale,
               Scratch& scratch) {
  for (const DecodedPosition<T>& position : positions)
    AttendSpans(position, head_dim, scale, scratch);
}

// Highway's dispatch needs plain functions, not templates.
void AttendSpansFloat(std::span<const DecodedPosition<float>> positions, int64_t head_dim,
                      float scale, Scratch& scratch) {
  AttendAll(positions, head_dim, scale, scratch);
}
void AttendSpansBfloat16(std::span<const DecodedPosition<bfloat16>> positions, int64_t head_dim,
                         float scale, Scratch& scratch) {
  AttendAll(positions, head_dim, scale, scratch);
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace combiner {

HWY_EXPORT(AttendSpansFloat);
HWY_EXPORT(AttendSpansBfloat16);

namespace portable {

template <>
void attend_spans(std::span<const DecodedPosition<float>> positions, int64_t head_dim, float scale,
                  Scratch& scratch) {
  HWY_DYNAMIC_DISPATCH(AttendSpansFloat)(positions, head_dim, scale, scratch);
}
template <>
void attend_spans(std::span<const DecodedPosition<bfloat16>> positions, int64_t head_dim,
                  float scale, Scratch& scratch) {
  HWY_DYNAMIC_DISPATCH(AttendSpansBfloat16)(positions, head_dim, scale, scratch);
}

}  // namespace portable
}  // namespace combiner
#endif  // HWY_ONCE
