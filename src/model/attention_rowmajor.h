// axial_rowmajor, the official code's axial attention. Parts: my row up to myself; the rows above,
// at my column, each as a summary of its whole row made by the position at my column. A summary's
// value is that position's unmasked attention over its row; its key is
// SummaryKey(LayerNorm(SummaryOutput(value) + attention input)).
#pragma once

#include "model/attention.h"

namespace combiner::rowmajor {

int64_t state_size(const ModelConfig& config);

template <class T>
void attend_rows(const ModelConfig& config, const BlockWeights<PackedWeights>& weights,
                 int64_t first_row, int64_t rows, BlockActivations<T>& act, T* state,
                 Worker& worker);

template <class T>
void attend_position(const ModelConfig& config, const BlockWeights<PanelWeights>& weights,
                     int64_t position, const T* norm1, const T* query_key_value, float* attended,
                     T* state, SummaryActivations<T>& summary, Worker& worker);

template <class T>
void attend_backward(const ModelConfig& config, const BlockParameters& parameters, const T* values,
                     const float* norms, BlockActivations<T>& act, const T* state,
                     Matrix<const float> d_attended, Matrix<const float> delta,
                     Matrix<float> d_query_key_value, Matrix<float> d_norm1, float* gradient,
                     AttentionBackwardScratch<T>& scratch, Worker& worker);

}  // namespace combiner::rowmajor
