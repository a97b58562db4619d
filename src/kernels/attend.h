// Softmax attention on one tile, and its gradient. Every attention variant is a list of parts, and
// each part is a set of tiles that this kernel reads with suitable strides (paper, eq. 7 and 9:
// direct keys and abstractions share one softmax).
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>

#include "kernels/scratch.h"
#include "tensor/bfloat16.h"

namespace combiner {

// Which keys each query of a tile attends to: query i attends to the first
// clamp(first + step * i, 0, keys) keys. All masks in this project have this form, with step >= 0.
struct Visible {
  int64_t first = 0;
  int64_t step = 0;

  static Visible all() { return {std::numeric_limits<int64_t>::max(), 0}; }
  // Query i has the position of key `offset` + i.
  static Visible causal(int64_t offset = 0) { return {offset + 1, 1}; }  // up to its own position
  static Visible strict(int64_t offset = 0) { return {offset, 1}; }      // before its own position

  // Number of keys, out of `keys`, that are visible to query i.
  int64_t of(int64_t keys, int64_t i) const {
    // Avoids overflow of the sum when `first` is the largest integer.
    return first >= keys ? keys : std::clamp<int64_t>(first + step * i, 0, keys);
  }
};

// Queries, keys and values of several heads side by side: rows of heads * head_dim elements,
// `..._stride` elements apart. A query's logits are its dot products with the keys of the same
// head, times `scale` (1 / sqrt(head_dim)).
template <class T>
struct AttentionTile {
  const T* query;
  int64_t query_stride;
  int64_t queries;
  const T* key;
  int64_t key_stride;
  const T* value;
  int64_t value_stride;
  int64_t keys;
  int64_t heads;
  int64_t head_dim;
  float scale;
  Visible visible;

  // Number of keys visible to at least one query: the last query sees the most.
  int64_t visible_keys() const { return queries > 0 ? visible.of(keys, queries - 1) : 0; }
};

// The result for each query and head. `out` [queries, heads * head_dim] is the softmax-weighted
// mean of the values (zero if no key is visible). `rounded` is the same, in the type that later
// matrix products read. `lse` [queries, heads] is the log-sum-exp of the logits (-infinity if no
// key is visible). With `only_rounded`, `out` will not be read and need not be written.
template <class T>
struct AttentionOutput {
  float* out;
  int64_t out_stride;
  T* rounded;
  int64_t rounded_stride;
  float* lse;
  int64_t lse_stride;
  bool only_rounded = false;
};

// What to do with a result that is already in the output: replace it, or merge the new one with it,
// as if the keys of both had shared one softmax.
enum class Merge { replace, merge };

// Inputs of the backward pass for each query and head: d_out, the lse merged over all parts, and
// delta = d_out . out with the merged out.
struct AttentionOutputGradient {
  const float* d_out;
  int64_t d_out_stride;
  const float* lse;
  int64_t lse_stride;
  const float* delta;
  int64_t delta_stride;
};

// The arrays to which the gradients of a tile are added.
struct AttentionGradient {
  float* query;
  int64_t query_stride;
  float* key;
  int64_t key_stride;
  float* value;
  int64_t value_stride;
};

// The complete gradient, rounded to the type that later matrix products read. On entry,
// `sums.query` holds the contributions of other parts; `sums.key` and `sums.value` need no initial
// values. On return, the contents of `sums` are unspecified. If T is float, the rounded arrays may
// be the same memory as `sums`.
template <class T>
struct RoundedAttentionGradient {
  AttentionGradient sums;
  T* query;
  int64_t query_stride;
  T* key;
  int64_t key_stride;
  T* value;
  int64_t value_stride;
};

// Attention of one tile. T is float or bfloat16. Arithmetic is in float, except with AMX, where
// bfloat16 is multiplied and intermediate results between two products are rounded to it.
template <class T>
void attend(const AttentionTile<T>& tile, const AttentionOutput<T>& output, Merge merge,
            Scratch& scratch);

// The same with Merge::replace. In addition, `whole` receives the attention of every query to all
// keys. With AMX, the two results share the products with the keys and the exponentials.
template <class T>
void attend_causal_and_full(const AttentionTile<T>& tile, const AttentionOutput<T>& output,
                            const AttentionOutput<T>& whole, Scratch& scratch);

// Keys and values of several heads side by side: rows of heads * head_dim elements, `..._stride`
// elements apart.
template <class T>
struct KvSpan {
  const T* key;
  int64_t key_stride;
  const T* value;
  int64_t value_stride;
  int64_t keys;
};

// The same in int8. Each key and each value has its own scale, which multiplies its integers.
struct Int8KvSpan : KvSpan<int8_t> {
  const float* key_scale;
  const float* value_scale;
};

// One position during decoding. Each head's query (`query` is [heads, head_dim]) attends, under one
// softmax, to the keys of all `spans`, at least one key in total, and of `int8`, which may be
// empty. The result goes to out [heads, head_dim].
template <class T>
struct DecodedPosition {
  const T* query;
  int64_t heads;
  std::span<const KvSpan<T>> spans;
  Int8KvSpan int8;
  float* out;
};
// Computes `out` of each position. `scale` multiplies the logits.
template <class T>
void attend_spans(std::span<const DecodedPosition<T>> positions, int64_t head_dim, float scale,
                  Scratch& scratch);

// The gradient of attend(). Recomputes the tile's probabilities from lse, so the forward pass only
// has to keep lse and out.
template <class T>
void attend_backward(const AttentionTile<T>& tile, const AttentionOutputGradient& output,
                     const AttentionGradient& gradient, Scratch& scratch);

// The gradient of attend_causal_and_full, from the gradients of both outputs. `whole` is the
// attention of this tile alone, not merged with other parts.
template <class T>
void attend_causal_and_full_backward(const AttentionTile<T>& tile,
                                     const AttentionOutputGradient& output,
                                     const AttentionOutputGradient& whole,
                                     const RoundedAttentionGradient<T>& gradient, Scratch& scratch);

}  // namespace combiner
