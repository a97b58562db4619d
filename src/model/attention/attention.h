// Attention layers as the block, the decoder and the trainer see them. Each variant is a list of
// parts (parts.h).
#pragma once

#include <cstdint>
#include <vector>

#include "model/attention/part.h"
#include "model/attention/variant.h"

namespace combiner {

// In these, L = positions, C = columns, D = dim and H = heads; T is float or bfloat16.

// The size of a layer's state for one image, in elements of T. The state persists from row to row
// and from position to position.
template <class T>
int64_t attention_state_size(Attention attention, const AttentionShape& shape);

// The number of query-key pairs in an image. Each pair costs 2 D multiply-adds.
int64_t attention_pairs(Attention attention, const AttentionShape& shape);

// Whether attend_bidirectional supports the variant.
bool can_be_bidirectional(Attention attention);

// What the variant's parts leave for the backward pass, and their scratch memory, for bands of up
// to `rows` rows.
template <class T>
using PartsActivations = std::vector<PartActivations<T>>;
template <class T>
PartsActivations<T> parts_activations(Attention attention, const AttentionShape& shape,
                                      int64_t rows);

// A layer's input and its projections, [n, D] each, for positions in raster order.
template <class T>
struct AttentionInput {
  Matrix<const T> input, query, key, value;

  // query_key_value [n, 3D] holds the three side by side.
  AttentionInput(Matrix<const T> input_, Matrix<const T> query_key_value)
      : AttentionInput(input_, query_key_value.column_block(0, input_.columns),
                       query_key_value.column_block(input_.columns, input_.columns),
                       query_key_value.column_block(2 * input_.columns, input_.columns)) {}
  AttentionInput(Matrix<const T> input_, Matrix<const T> query_, Matrix<const T> key_,
                 Matrix<const T> value_)
      : input(input_), query(query_), key(key_), value(value_) {}
};

// What is read after attend_image: only its rounded output; that and what a backward pass needs;
// or, in addition, `attended`, which is otherwise scratch memory.
enum class OutputUse { forward_only, backward, floats };

// Attention over a whole image. Fills attended [L, D]; `rounded`, the same in T, for the output
// projection; lse [L, H], the log-sum-exp of each head's logits; and the state.
template <class T>
void attend_image(Attention attention, const AttentionShape& shape,
                  const AttentionInput<T>& positions, const SummaryWeights* summary,
                  Matrix<float> attended, Matrix<T> rounded, Matrix<float> lse, T* state,
                  PartsActivations<T>& activations, Worker& worker, OutputUse use);

// Heads first .. first + number - 1.
struct HeadRange {
  int64_t first, number;
};

// Prefetches the cache lines that append_kv will write. Writing them cold, one image after another,
// takes longer than everything else that append_kv does.
template <class T>
void prefetch_kv(Attention attention, const AttentionShape& shape, int64_t position,
                 HeadRange heads, T* state);

// Appends the next position of one image, in raster order, for some of its heads. Copies `input`,
// one row with all heads, into the state, and sets `spans` to the keys and values that these heads
// attend to. Threads may divide the heads of a position among them.
template <class T>
void append_kv(Attention attention, const AttentionShape& shape, int64_t position, HeadRange heads,
               const AttentionInput<T>& input, T* state, KvSpans<T>& spans, Worker& worker);

// Updates the state so that the next position can attend to this one. Call it once all heads have
// attended to their spans, before the next position. `activations` must be for a band of one row.
template <class T>
void finish_position(Attention attention, const AttentionShape& shape, int64_t position,
                     const SummaryWeights* summary, T* state, PartsActivations<T>& activations,
                     Worker& worker, NextRead next_read);

// Attention over a whole image in which every position attends to all others, before and after it:
// the variant's parts and their mirror images. Positions that are attended to directly are in no
// abstraction. Only for variants with can_be_bidirectional().
template <class T>
void attend_bidirectional(Attention attention, const AttentionShape& shape,
                          const AttentionInput<T>& positions, const SummaryWeights* summary,
                          Matrix<float> attended, Matrix<T> rounded, Matrix<float> lse, T* state,
                          PartsActivations<T>& activations, Worker& worker);

// The inputs and outputs of the backward pass of attend_image.
template <class T>
struct AttentionGradients {
  Matrix<const float> d_attended;  // [L, D]
  Matrix<const float> lse;         // [L, H], as attend_image left it
  Matrix<const float> delta;       // [L, H], d_attended . attended per head
  // Outputs [L, D], overwritten.
  Matrix<T> d_query, d_key, d_value;
  // axial_rowmajor only: d_input is overwritten, the gradients of the weights are added to.
  Matrix<float> d_input;
  const SummaryWeights* summary_weights = nullptr;
  SummaryGradient summary;
  // Scratch memory, [L, D]. If T is float, these may be the same matrices as d_query, d_key and
  // d_value.
  Matrix<float> sum_query, sum_key, sum_value;
};
template <class T>
void attend_backward(Attention attention, const AttentionShape& shape,
                     const AttentionInput<T>& positions, const AttentionGradients<T>& gradients,
                     T* state, PartsActivations<T>& activations,
                     AttentionBackwardScratch<T>& scratch, Worker& worker);

}  // namespace combiner
