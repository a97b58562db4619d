// The attention variants. Each is a list of parts: keys, values and which of them a position
// attends (paper, eq. 7 and 9); every part is tiles of `attend`, and parts merge exactly. A variant
// has a file of its own; this is what the block, the decoder and the trainer see of it.
#pragma once

#include <cstdint>

#include "model/activations.h"
#include "model/config.h"
#include "model/layers.h"

namespace combiner {

// Elements of T that one image keeps of one layer, from row to row and position to position.
int64_t attention_state_size(Attention attention, const ModelConfig& config);

// Whole rows first_row .. first_row + rows - 1 of one image; called in order from row 0. Reads
// act.norm1 and act.query_key_value of those rows' positions; fills act.attended and act.lse, and
// the rows' part of the state.
template <class T>
void attend_rows(const ModelConfig& config, const BlockWeights<PackedWeights>& weights,
                 int64_t first_row, int64_t rows, BlockActivations<T>& act, T* state,
                 Worker& worker);

// One position of one image; called in raster order. norm1 [D] and query_key_value [3D] are the
// position's; fills attended [D] and the position's part of the state. `summary` is scratch for a
// row of positions.
template <class T>
void attend_position(const ModelConfig& config, const BlockWeights<PanelWeights>& weights,
                     int64_t position, const T* norm1, const T* query_key_value, float* attended,
                     T* state, SummaryActivations<T>& summary, Worker& worker);

// Scratch of attend_backward, for an image of n positions.
template <class T>
struct AttentionBackwardScratch {
  AttentionBackwardScratch(const ModelConfig& config, int64_t n)
      : d_summary_key(n, config.embed_dim),
        d_summary_value(n, config.embed_dim),
        summary_delta(n, config.num_heads),
        d_summary_in(n, config.embed_dim),
        d_summary_norm(n, config.embed_dim),
        d_summary_sum(n, config.embed_dim) {}

  OwnedMatrix<float> d_summary_key, d_summary_value, summary_delta;
  OwnedMatrix<T> d_summary_in;  // a gradient, as the next product reads it
  OwnedMatrix<float> d_summary_norm, d_summary_sum;
};

// The gradient of attend_rows over a whole image. d_attended [L, D] and
// delta [L, H] = d_attended . attended per head are inputs; to d_query_key_value [L, 3D] and
// d_norm1 [L, D] the gradients are added, and to the weights' in `gradient`, a flat buffer of the
// parameters' layout. `values` is a flat buffer of the weights in T.
template <class T>
void attend_backward(const ModelConfig& config, Attention attention,
                     const BlockParameters& parameters, const T* values, const float* norms,
                     BlockActivations<T>& act, const T* state, Matrix<const float> d_attended,
                     Matrix<const float> delta, Matrix<float> d_query_key_value,
                     Matrix<float> d_norm1, float* gradient, AttentionBackwardScratch<T>& scratch,
                     Worker& worker);

}  // namespace combiner
