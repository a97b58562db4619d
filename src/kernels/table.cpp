#include "kernels/table.h"

#include <array>

#include "cpu/avx512.h"
#include "cpu/features.h"
#include "kernels/amx/amx.h"
#include "kernels/avx512_bf16/avx512_bf16.h"
#include "kernels/portable/portable.h"

namespace combiner {
namespace {

constexpr KernelTable portable_kernels() {
  return {.activate = portable::activate<bfloat16>,
          .layer_norm = portable::layer_norm<bfloat16>,
          .attend = portable::attend<bfloat16>,
          .attend_causal_and_full = portable::attend_causal_and_full<bfloat16>,
          .attend_spans = portable::attend_spans<bfloat16>,
          .attend_backward = portable::attend_backward<bfloat16>,
          .attend_causal_and_full_backward = portable::attend_causal_and_full_backward<bfloat16>,
          .float_panels = portable::float_panels,
          .bfloat16_panels = portable::bfloat16_panels,
          .int8_panels = portable::int8_panels,
          .multiply_transposed = nullptr};
}

KernelTable choose([[maybe_unused]] const CpuFeatures& features) {
  KernelTable table = portable_kernels();
#if COMBINER_AVX512_KERNELS
  if (features.avx512_vnni) table.int8_panels = avx512_bf16::int8_panels;
  if (features.avx512_bf16) {
    table.activate = avx512_bf16::activate;
    table.layer_norm = avx512_bf16::layer_norm;
  }
  if (features.fast_bf16_dot) table.bfloat16_panels = avx512_bf16::bfloat16_panels;
  if (features.amx) {
    table.attend = amx::attend;
    table.attend_causal_and_full = amx::attend_causal_and_full;
    table.attend_spans = amx::attend_spans;
    table.attend_backward = amx::attend_backward;
    table.attend_causal_and_full_backward = amx::attend_causal_and_full_backward;
    table.bfloat16_panels = amx::bfloat16_panels;
    table.int8_panels = amx::int8_panels;
    table.multiply_transposed = amx::multiply_transposed;
  }
#endif
  return table;
}

// The features that choose() asks for, as the bits of a number.
constexpr size_t kFeatureSets = 16;
size_t index_of(const CpuFeatures& features) {
  return size_t{features.avx512_vnni} | size_t{features.avx512_bf16} << 1 |
         size_t{features.fast_bf16_dot} << 2 | size_t{features.amx} << 3;
}

std::array<KernelTable, kFeatureSets> all_tables() {
  std::array<KernelTable, kFeatureSets> tables;
  for (size_t i = 0; i < tables.size(); ++i) {
    CpuFeatures features;
    features.avx512_vnni = i & 1;
    features.avx512_bf16 = i >> 1 & 1;
    features.fast_bf16_dot = i >> 2 & 1;
    features.amx = i >> 3 & 1;
    tables[i] = choose(features);
  }
  return tables;
}

}  // namespace

const KernelTable& kernels() {
  static const std::array<KernelTable, kFeatureSets> tables = all_tables();
  return tables[index_of(cpu_features())];
}

// ---- The operations themselves

template <>
void activate(Activation activation, Matrix<const float> x, Matrix<float> y,
              Matrix<float> activation_grad) {
  portable::activate(activation, x, y, activation_grad);
}
template <>
void activate(Activation activation, Matrix<const bfloat16> x, Matrix<bfloat16> y,
              Matrix<bfloat16> activation_grad) {
  kernels().activate(activation, x, y, activation_grad);
}
template <>
void layer_norm(Matrix<const float> x, const float* weight, const float* bias, float epsilon,
                Matrix<float> y, RowMoments* moments) {
  portable::layer_norm(x, weight, bias, epsilon, y, moments);
}
template <>
void layer_norm(Matrix<const float> x, const float* weight, const float* bias, float epsilon,
                Matrix<bfloat16> y, RowMoments* moments) {
  kernels().layer_norm(x, weight, bias, epsilon, y, moments);
}
template <>
void attend(const AttentionTile<float>& tile, const AttentionOutput<float>& output, Merge merge,
            Scratch& scratch) {
  portable::attend(tile, output, merge, scratch);
}
template <>
void attend(const AttentionTile<bfloat16>& tile, const AttentionOutput<bfloat16>& output,
            Merge merge, Scratch& scratch) {
  kernels().attend(tile, output, merge, scratch);
}
template <>
void attend_causal_and_full(const AttentionTile<float>& tile, const AttentionOutput<float>& output,
                            const AttentionOutput<float>& whole, Scratch& scratch) {
  portable::attend_causal_and_full(tile, output, whole, scratch);
}
template <>
void attend_causal_and_full(const AttentionTile<bfloat16>& tile,
                            const AttentionOutput<bfloat16>& output,
                            const AttentionOutput<bfloat16>& whole, Scratch& scratch) {
  kernels().attend_causal_and_full(tile, output, whole, scratch);
}
template <>
void attend_spans(std::span<const DecodedPosition<float>> positions, int64_t head_dim, float scale,
                  Scratch& scratch) {
  portable::attend_spans(positions, head_dim, scale, scratch);
}
template <>
void attend_spans(std::span<const DecodedPosition<bfloat16>> positions, int64_t head_dim,
                  float scale, Scratch& scratch) {
  kernels().attend_spans(positions, head_dim, scale, scratch);
}
template <>
void attend_backward(const AttentionTile<float>& tile, const AttentionOutputGradient& output,
                     const AttentionGradient& gradient, Scratch& scratch) {
  portable::attend_backward(tile, output, gradient, scratch);
}
template <>
void attend_backward(const AttentionTile<bfloat16>& tile, const AttentionOutputGradient& output,
                     const AttentionGradient& gradient, Scratch& scratch) {
  kernels().attend_backward(tile, output, gradient, scratch);
}
template <>
void attend_causal_and_full_backward(const AttentionTile<float>& tile,
                                     const AttentionOutputGradient& output,
                                     const AttentionOutputGradient& whole,
                                     const RoundedAttentionGradient<float>& gradient,
                                     Scratch& scratch) {
  portable::attend_causal_and_full_backward(tile, output, whole, gradient, scratch);
}
template <>
void attend_causal_and_full_backward(const AttentionTile<bfloat16>& tile,
                                     const AttentionOutputGradient& output,
                                     const AttentionOutputGradient& whole,
                                     const RoundedAttentionGradient<bfloat16>& gradient,
                                     Scratch& scratch) {
  kernels().attend_causal_and_full_backward(tile, output, whole, gradient, scratch);
}

template <class X, class Y>
void multiply_panels(Matrix<const X> x, const PanelWeights& weights, Matrix<Y> y,
                     const Epilogue& epilogue, PanelRange range, Scratch& scratch) {
  const PanelWeights::Panels& panels = weights.panels();
  panels.kernel->function<X, Y>()(x, panels, y, epilogue, range, scratch);
}
template void multiply_panels(Matrix<const float>, const PanelWeights&, Matrix<float>,
                              const Epilogue&, PanelRange, Scratch&);
template void multiply_panels(Matrix<const bfloat16>, const PanelWeights&, Matrix<float>,
                              const Epilogue&, PanelRange, Scratch&);
template void multiply_panels(Matrix<const bfloat16>, const PanelWeights&, Matrix<bfloat16>,
                              const Epilogue&, PanelRange, Scratch&);

}  // namespace combiner
