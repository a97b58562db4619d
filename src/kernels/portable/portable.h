// The implementations for every processor: vectors by Highway, which dispatches to the best target
// that the cap allows. What they compute is stated where the operations are declared (kernels/*.h).
#pragma once

#include "kernels/activation.h"
#include "kernels/attend.h"
#include "kernels/layer_norm.h"
#include "kernels/panels_storage.h"

namespace combiner::portable {

// T is float or bfloat16.
template <class T>
void activate(Activation activation, Matrix<const T> x, Matrix<T> y, Matrix<T> activation_grad);

template <class T>
void layer_norm(Matrix<const float> x, const float* weight, const float* bias, float epsilon,
                Matrix<T> y, RowMoments* moments);

template <class T>
void attend(const AttentionTile<T>& tile, const AttentionOutput<T>& output, Merge merge,
            Scratch& scratch);
template <class T>
void attend_causal_and_full(const AttentionTile<T>& tile, const AttentionOutput<T>& output,
                            const AttentionOutput<T>& whole, Scratch& scratch);
template <class T>
void attend_spans(std::span<const DecodedPosition<T>> positions, int64_t head_dim, float scale,
                  Scratch& scratch);
template <class T>
void attend_backward(const AttentionTile<T>& tile, const AttentionOutputGradient& output,
                     const AttentionGradient& gradient, Scratch& scratch);
template <class T>
void attend_causal_and_full_backward(const AttentionTile<T>& tile,
                                     const AttentionOutputGradient& output,
                                     const AttentionOutputGradient& whole,
                                     const RoundedAttentionGradient<T>& gradient, Scratch& scratch);

// Bfloat16 weights are multiplied as floats, 8-bit integers as integers of 16 bits.
const PanelKernel& float_panels();
const PanelKernel& bfloat16_panels();
const PanelKernel& int8_panels();

}  // namespace combiner::portable
