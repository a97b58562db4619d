// Attention layers: what the block, the decoder and the trainer see of the variants. Each variant
// is a list of parts (parts.h).
#pragma once

#include <cstdint>
#include <vector>

#include "model/attention/part.h"
#include "model/attention/variant.h"

namespace combiner {

// In these, L = positions, C = columns, D = dim, H = heads; T is float or bfloat16.

// Elements of T that one image keeps of one layer, from row to row and position to position.
template <class T>
int64_t attention_state_size(Attention attention, const AttentionShape& shape);

// Pairs of query and key in an image: each costs 2 D multiply-adds.
int64_t attention_pairs(Attention attention, const AttentionShape& shape);

// Whether attend_bidirectional has it.
bool can_be_bidirectional(Attention attention);

// What the variant's parts leave for the backward pass, and scratch, for bands of up to `rows`
// rows.
template <class T>
using PartsActivations = std::vector<PartActivations<T>>;
template <class T>
PartsActivations<T> parts_activations(Attention attention, const AttentionShape& shape,
                                      int64_t rows);

// Of positions in raster order, all [n, D]: the layer's input and what was made from it.
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

// What attend_image leaves behind: nothing but what it returns; also what a backward pass reads; or
// `attended` too, which is scratch memory otherwise.
enum class OutputUse { forward_only, backward, floats };

// A whole image. Fills attended [L, D], rounded, the same as products read it, lse [L, H], the
// log-sum-exp of each head's logits, and the state.
template <class T>
void attend_image(Attention attention, const AttentionShape& shape,
                  const AttentionInput<T>& positions, const SummaryWeights* summary,
                  Matrix<float> attended, Matrix<T> rounded, Matrix<float> lse, T* state,
                  PartsActivations<T>& activations, Worker& worker, OutputUse use);

// Heads first .. first + number - 1.
struct HeadRange {
  int64_t first, number;
};

// Fetches into cache what append_kv will write: writing it cold, one image after another, is
// slower than all else that it does.
template <class T>
void prefetch_kv(Attention attention, const AttentionShape& shape, int64_t position,
                 HeadRange heads, T* state);

// Some heads of the next position of one image, in raster order: `input` has one row, of all heads,
// which becomes part of the state. `spans` are the keys and values that those heads attend. Threads
// may share a position's heads.
template <class T>
void append_kv(Attention attention, const AttentionShape& shape, int64_t position, HeadRange heads,
               const AttentionInput<T>& input, T* state, KvSpans<T>& spans, Worker& worker);

// To be called once all heads have attended their spans, before the next position: makes of the
// state what the next attends. `activations` are for a band of one row.
template <class T>
void finish_position(Attention attention, const AttentionShape& shape, int64_t position,
                     const SummaryWeights* summary, T* state, PartsActivations<T>& activations,
                     Worker& worker, NextRead next_read);

// A whole image in which every position attends all others, before and after it: the variant's
// parts and their mirror images. What is attended directly is in no abstraction. Only for variants
// with can_be_bidirectional().
template <class T>
void attend_bidirectional(Attention attention, const AttentionShape& shape,
                          const AttentionInput<T>& positions, const SummaryWeights* summary,
                          Matrix<float> attended, Matrix<T> rounded, Matrix<float> lse, T* state,
                          PartsActivations<T>& activations, Worker& worker);

// The gradient of attend_image.
template <class T>
struct AttentionGradients {
  Matrix<const float> d_attended;  // [L, D]
  Matrix<const float> lse;         // [L, H], as attend_image left it
  Matrix<const float> delta;       // [L, H], d_attended . attended per head
  // These [L, D] are replaced; the weights' gradients are added.
  Matrix<T> d_query, d_key, d_value;
  Matrix<float> d_input;                            // axial_rowmajor only, like
  const SummaryWeights* summary_weights = nullptr;  // these
  SummaryGradient summary;
  // [L, D], scratch. They and what becomes of them above may be one if T is float.
  Matrix<float> sum_query, sum_key, sum_value;
};
template <class T>
void attend_backward(Attention attention, const AttentionShape& shape,
                     const AttentionInput<T>& positions, const AttentionGradients<T>& gradients,
                     T* state, PartsActivations<T>& activations,
                     AttentionBackwardScratch<T>& scratch, Worker& worker);

}  // namespace combiner
