// full: ordinary causal attention over all positions, O(L^2): the oracle and the baseline.
#pragma once

#include "model/attention.h"

namespace combiner::full {

int64_t state_size(const ModelConfig& config);

template <class T>
void attend_rows(const ModelConfig& config, int64_t first_row, int64_t rows,
                 BlockActivations<T>& act, T* state, Worker& worker);

template <class T>
void attend_position(const ModelConfig& config, int64_t position, const T* query_key_value,
                     float* attended, T* state, Worker& worker);

template <class T>
void attend_backward(const ModelConfig& config, BlockActivations<T>& act,
                     Matrix<const float> d_attended, Matrix<const float> delta,
                     Matrix<float> d_query_key_value, Worker& worker);

}  // namespace combiner::full
