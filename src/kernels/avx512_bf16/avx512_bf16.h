// The implementations for AVX-512 BF16, and for AVX-512 VNNI.
#pragma once

#include "kernels/activation.h"
#include "kernels/layer_norm.h"
#include "kernels/panels_storage.h"

namespace combiner::avx512_bf16 {

// Round two vectors to bfloat16 in one instruction. Require cpu_features().avx512_bf16.
void activate(Activation activation, Matrix<const bfloat16> x, Matrix<bfloat16> y,
              Matrix<bfloat16> activation_grad);
void layer_norm(Matrix<const float> x, const float* weight, const float* bias, float epsilon,
                Matrix<bfloat16> y, RowMoments* moments);

// Dot products of pairs (VDPBF16PS). Float inputs are left to the portable kernel. Requires
// cpu_features().avx512_bf16; worth it with fast_bf16_dot.
const PanelKernel& bfloat16_panels();

// Dot products of fours (VPDPBUSD). Requires cpu_features().avx512_vnni.
const PanelKernel& int8_panels();

}  // namespace combiner::avx512_bf16
