#include <algorithm>
#include <numeric>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "kernels/panels.h"
#include "kernels/table.h"
#include "tensor/int8_row.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/portable/panels_pack.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "hwy/highway.h"
#include "kernels/portable/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace combiner::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

constexpr int64_t kWidth = PanelWeights::kPanelWidth;
constexpr int64_t kLanes = static_cast<int64_t>(hn::MaxLanes(hn::ScalableTag<float>()));

// Transposes a 4 x 4 block. Rows of `from` are `stride` apart, rows of `to` kWidth apart.
HWY_INLINE void Transpose4x4(const float* from, int64_t stride, float* to) {
#if HWY_TARGET == HWY_SCALAR
  for (int64_t i = 0; i < 4; ++i)
    for (int64_t k = 0; k < 4; ++k) to[k * kWidth + i] = from[i * stride + k];
#else
  const hn::FixedTag<float, 4> d;
  const auto a = hn::LoadU(d, from);
  const auto b = hn::LoadU(d, from + stride);
  const auto c = hn::LoadU(d, from + 2 * stride);
  const auto e = hn::LoadU(d, from + 3 * stride);
  const auto ac01 = hn::InterleaveLower(d, a, c), ac23 = hn::InterleaveUpper(d, a, c);
  const auto be01 = hn::InterleaveLower(d, b, e), be23 = hn::InterleaveUpper(d, b, e);
  hn::Store(hn::InterleaveLower(d, ac01, be01), d, to);
  hn::Store(hn::InterleaveUpper(d, ac01, be01), d, to + kWidth);
  hn::Store(hn::InterleaveLower(d, ac23, be23), d, to + 2 * kWidth);
  hn::Store(hn::InterleaveUpper(d, ac23, be23), d, to + 3 * kWidth);
#endif
}

// Transposes up to kWidth rows into columns of `to`, whose rows are kWidth apart.
HWY_INLINE void Transpose(const Matrix<const float>& from, float* to) {
  for (int64_t i = 0; i < from.rows; i += 4) {
    const int64_t few = std::min<int64_t>(4, from.rows - i);
    int64_t k = 0;
    if (few == 4)
      for (; k + 4 <= from.columns; k += 4)
        Transpose4x4(from.row(i) + k, from.stride, to + k * kWidth + i);
    for (; k < from.columns; ++k)
      for (int64_t r = i; r < i + few; ++r) to[k * kWidth + r] = from.row(r)[k];
  }
}

// Writes `depths` depths of a panel, from [depths, kWidth]. Returns the end of what was written.
HWY_INLINE float* StoreDepths(const float* from, int64_t depths, float* to) {
  return std::copy_n(from, depths * kWidth, to);
}
// The same in pairs of depths; `depths` is even.
HWY_INLINE bfloat16* StoreDepths(const float* from, int64_t depths, bfloat16* to) {
  const hn::ScalableTag<float> d;
  const hn::ScalableTag<uint32_t> du32;
  for (int64_t k = 0; k < depths; k += 2, from += 2 * kWidth)
    for (int64_t j = 0; j < kWidth; j += kLanes, to += 2 * kLanes) {
      const auto even = Bfloat16Bits(d, hn::Load(d, from + j));
      const auto odd = Bfloat16Bits(d, hn::Load(d, from + kWidth + j));
      hn::Store(hn::Or(even, hn::ShiftLeft<16>(odd)), du32, reinterpret_cast<uint32_t*>(to));
    }
  return to;
}

// Reads some depths of up to kWidth outputs to [depths, kWidth], part of a panel.
HWY_INLINE void ReadPart(const StoredWeights& weights, int64_t out, int64_t outs, int64_t depth,
                         int64_t depths, float* to) {
  if (!weights.transposed)
    return Transpose(weights.matrix.row_block(out, outs).column_block(depth, depths), to);
  const auto from = weights.matrix.row_block(depth, depths).column_block(out, outs);
  for (int64_t k = 0; k < depths; ++k)
    if (outs == kWidth)  // a size known at compile time
      std::copy_n(from.row(k), kWidth, to + k * kWidth);
    else
      std::copy_n(from.row(k), outs, to + k * kWidth);
}

// Packs all panels, through a tile that stays in the L1 cache.
template <class Weight>
void Pack(const StoredWeights& weights, int64_t depth, Weight* panels) {
  constexpr int64_t kTileDepth = 64;
  for (int64_t o = 0; o < weights.out(); o += kWidth) {
    HWY_ALIGN float tile[kTileDepth * kWidth] = {};
    const int64_t outs = std::min(kWidth, weights.out() - o);
    for (int64_t k = 0; k < weights.in(); k += kTileDepth) {
      const int64_t columns = std::min(kTileDepth, weights.in() - k);
      ReadPart(weights, o, outs, k, columns, tile);
      // The padding at the end of a panel is shallower than a tile.
      const int64_t depths = columns < kTileDepth ? depth - k : kTileDepth;
      std::fill(tile + columns * kWidth, tile + depths * kWidth, 0.0f);
      panels = StoreDepths(tile, depths, panels);
    }
  }
}

void PackFloat(const StoredWeights& weights, int64_t depth, float* panels) {
  Pack(weights, depth, panels);
}
void PackBfloat16(const StoredWeights& weights, int64_t depth, bfloat16* panels) {
  Pack(weights, depth, panels);
}

}  // namespace combiner::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace combiner {

HWY_EXPORT(PackFloat);
HWY_EXPORT(PackBfloat16);

namespace {

// Quantises weights row by row and packs the integers into panels, whose padding is already zero.
void pack_int8(Matrix<const float> weights, const PanelWeights::Panels& panels) {
  constexpr int64_t kWidth = PanelWeights::kPanelWidth;
  const auto in = static_cast<size_t>(weights.columns);
  const int64_t depth = panels.depth(), group = panels.kernel->group;
  Buffer<int8_t> row(in);
  for (int64_t o = 0; o < weights.rows; ++o) {
    panels.scales[static_cast<size_t>(o)] = quantize_row({weights.row(o), in}, row.span());
    int8_t* to = panels.int8.data() + o / kWidth * kWidth * depth + o % kWidth * group;
    for (int64_t k = 0; k < weights.columns; ++k)
      to[k / group * group * kWidth + k % group] = row[static_cast<size_t>(k)];
    if (panels.offsets.empty()) continue;
    int32_t* offset = panels.offsets.data() + o;
    for (int64_t k = 0; k < weights.columns; k += kPanelDepthAtOnce, offset += panels.padded_out())
      *offset =
          -128 * std::accumulate(row.data() + k,
                                 row.data() + std::min(k + kPanelDepthAtOnce, weights.columns),
                                 int32_t{0});
  }
}

template <class Weight>
const PanelKernel& kernel_for() {
  if constexpr (std::is_same_v<Weight, float>)
    return kernels().float_panels();
  else if constexpr (std::is_same_v<Weight, bfloat16>)
    return kernels().bfloat16_panels();
  else
    return kernels().int8_panels();
}

// The sizes of a layer's panels, without their contents.
template <class Weight>
PanelWeights::Panels empty_panels(int64_t out, int64_t in) {
  PanelWeights::Panels panels;
  panels.kernel = &kernel_for<Weight>();
  panels.out = out;
  panels.in = in;
  return panels;
}

// Numbers of elements in a layer's panels, with padding.
struct PackedSizes {
  size_t values, scales, offsets;
};
template <class Weight>
PackedSizes packed_sizes(const PanelWeights::Panels& panels) {
  const int64_t outs = panels.padded_out();
  const int64_t blocks = ceil_div(panels.in, kPanelDepthAtOnce);
  return {static_cast<size_t>(outs * panels.depth()),
          static_cast<size_t>(std::is_same_v<Weight, int8_t> ? outs : 0),
          static_cast<size_t>(panels.kernel->has_offsets ? outs * blocks : 0)};
}

size_t whole_lines(size_t bytes) { return round_up(bytes, size_t{64}); }

}  // namespace

template <class T>
std::span<T> PanelMemory::take(size_t count) {
  const size_t bytes = whole_lines(count * sizeof(T));
  const size_t first = taken_.fetch_add(bytes);
  if (first + bytes > bytes_.size()) throw std::logic_error("PanelMemory is too small");
  return {reinterpret_cast<T*>(bytes_.data() + first), count};
}
template std::span<float> PanelMemory::take(size_t);
template std::span<bfloat16> PanelMemory::take(size_t);
template std::span<int8_t> PanelMemory::take(size_t);
template std::span<int32_t> PanelMemory::take(size_t);

template <class Weight>
size_t PanelWeights::packed_bytes(int64_t out, int64_t in) {
  const PackedSizes sizes = packed_sizes<Weight>(empty_panels<Weight>(out, in));
  return whole_lines(sizes.values * sizeof(Weight)) + whole_lines(sizes.scales * sizeof(float)) +
         whole_lines(sizes.offsets * sizeof(int32_t));
}

template <class Weight>
PanelWeights PanelWeights::pack(StoredWeights weights, std::shared_ptr<PanelMemory> memory) {
  if (!memory)
    memory = std::make_shared<PanelMemory>(packed_bytes<Weight>(weights.out(), weights.in()));
  std::shared_ptr<Panels> panels =
      std::make_shared<Panels>(empty_panels<Weight>(weights.out(), weights.in()));
  const PackedSizes sizes = packed_sizes<Weight>(*panels);
  const int64_t depth = panels->depth();
  const std::span<Weight> values = memory->take<Weight>(sizes.values);
  if constexpr (std::is_same_v<Weight, float>) {
    panels->f32 = values;
    HWY_DYNAMIC_DISPATCH(PackFloat)(weights, depth, values.data());
  } else if constexpr (std::is_same_v<Weight, bfloat16>) {
    panels->bf16 = values;
    HWY_DYNAMIC_DISPATCH(PackBfloat16)(weights, depth, values.data());
  } else {
    if (weights.transposed) throw std::logic_error("int8 panels of transposed weights");
    panels->int8 = values;
    panels->scales = memory->take<float>(sizes.scales);
    panels->offsets = memory->take<int32_t>(sizes.offsets);
    pack_int8(weights.matrix, *panels);
  }
  panels->memory = std::move(memory);
  PanelWeights result;
  result.panels_ = std::move(panels);
  return result;
}

void PanelWeights::repack(StoredWeights weights) {
  if (panels_->bf16.empty() || weights.out() != out() || weights.in() != in())
    throw std::logic_error("packing weights of another shape or type");
  HWY_DYNAMIC_DISPATCH(PackBfloat16)
  (weights, panels_->depth(), panels_->bf16.data());
}

#define COMBINER_INSTANTIATE(Weight)                                    \
  template size_t PanelWeights::packed_bytes<Weight>(int64_t, int64_t); \
  template PanelWeights PanelWeights::pack<Weight>(StoredWeights, std::shared_ptr<PanelMemory>)
COMBINER_INSTANTIATE(float);
COMBINER_INSTANTIATE(bfloat16);
COMBINER_INSTANTIATE(int8_t);
#undef COMBINER_INSTANTIATE

int64_t PanelWeights::out() const { return panels_->out; }
int64_t PanelWeights::in() const { return panels_->in; }

}  // namespace combiner
#endif  // HWY_ONCE
