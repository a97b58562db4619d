// Softmax attention on one tile, and its gradient. Every attention variant is a list of parts; each
// part is tiles of this kernel under some strides (paper, eq. 7 and 9: direct keys and abstractions
// share one softmax).
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <span>

#include "kernels/scratch.h"
#include "tensor/bfloat16.h"

namespace combiner {

// Which keys each query of a tile attends: the first clamp(first + step * i, 0, keys) of them, for
// query i. All masks of the project are of this form.
struct Visible {
  int64_t first = 0;
  int64_t step = 0;

  static Visible all() { return {std::numeric_limits<int64_t>::max(), 0}; }
  // Query i stands at key `offset` + i.
  static Visible causal(int64_t offset = 0) { return {offset + 1, 1}; }  // keys up to its own
  static Visible strict(int64_t offset = 0) { return {offset, 1}; }      // keys before its own

  // Of so many keys those that query i sees.
  int64_t of(int64_t keys, int64_t i) const {
    // `all` is further than a sum with it can say.
    return first >= keys ? keys : std::clamp<int64_t>(first + step * i, 0, keys);
  }
};

// Queries, keys and values of some heads side by side: rows of heads * head_dim elements,
// `..._stride` elements apart. A query's logits are its products with its head's keys times `scale`
// (1 / sqrt(head_dim)).
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

  // Of how many keys any query sees some.
  int64_t visible_keys() const { return queries > 0 ? visible.of(keys, queries - 1) : 0; }
};

// Per query and head: out [queries, heads * head_dim], the softmax-weighted mean of the values
// (zero where no key is visible), the same as products read it, and lse [queries, heads], the
// log-sum-exp of the logits (-infinity there). Where nobody is to read `out` thereafter, it need
// not be written.
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

// What becomes of an output already there: replaced, or merged, as if its keys and the tile's had
// shared one softmax from the start.
enum class Merge { replace, merge };

// The gradient's inputs, per query and head: d_out, the merged lse of all parts, and
// delta = d_out . out with the merged out.
struct AttentionOutputGradient {
  const float* d_out;
  int64_t d_out_stride;
  const float* lse;
  int64_t lse_stride;
  const float* delta;
  int64_t delta_stride;
};

// Where the tile's gradients are added.
struct AttentionGradient {
  float* query;
  int64_t query_stride;
  float* key;
  int64_t key_stride;
  float* value;
  int64_t value_stride;
};

// The same in full: what becomes of it once all parts have added theirs, as products read it.
// Beforehand the sums of `query` hold what other parts add, and thereafter all sums may hold
// anything. They and what is rounded may be one if T is float.
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

// T is float or bfloat16. Arithmetic is in float, but where a processor multiplies bfloat16 itself
// (kernels/amx.h): there the numbers between two products are rounded to it.
template <class T>
void attend(const AttentionTile<T>& tile, const AttentionOutput<T>& output, Merge merge,
            Scratch& scratch);

// The same, replacing, and beside it what the queries attend if each sees all keys: that goes to
// `whole`. Where a processor multiplies bfloat16 itself, the two share their products with the keys
// and their exponentials.
template <class T>
void attend_causal_and_full(const AttentionTile<T>& tile, const AttentionOutput<T>& output,
                            const AttentionOutput<T>& whole, Scratch& scratch);

// Keys and values of some heads side by side: rows of their elements, `..._stride` elements apart.
template <class T>
struct KvSpan {
  const T* key;
  int64_t key_stride;
  const T* value;
  int64_t value_stride;
  int64_t keys;
};

// The same in 8 bits: each key and each value times a scale of its own.
struct Int8KvSpan : KvSpan<int8_t> {
  const float* key_scale;
  const float* value_scale;
};

// One position, as decoding has it: each head's query [heads, head_dim] attends the keys of all
// lines, of which there is at least one, and of `int8`, which may have none, under one softmax. out
// [heads, head_dim].
template <class T>
struct DecodedPosition {
  const T* query;
  int64_t heads;
  std::span<const KvSpan<T>> spans;
  Int8KvSpan int8;
  float* out;
};
template <class T>
void attend_spans(std::span<const DecodedPosition<T>> positions, int64_t head_dim, float scale,
                  Scratch& scratch);

// Recomputes the tile's probabilities from lse, so nothing but lse and out is kept.
template <class T>
void attend_backward(const AttentionTile<T>& tile, const AttentionOutputGradient& output,
                     const AttentionGradient& gradient, Scratch& scratch);

// The gradient of attend_causal_and_full, from those of both outputs; `whole` is not merged.
template <class T>
void attend_causal_and_full_backward(const AttentionTile<T>& tile,
                                     const AttentionOutputGradient& output,
                                     const AttentionOutputGradient& whole,
                                     const RoundedAttentionGradient<T>& gradient, Scratch& scratch);

}  // namespace combiner
