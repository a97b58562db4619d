// A part of an attention variant: some keys and values, and which of them each position attends to
// (paper, eq. 7 and 9). All parts of a variant share one softmax: each part computes tiles with
// `attend` and merges them into the output of the parts before it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/attend.h"
#include "kernels/layer_norm.h"
#include "kernels/rows.h"
#include "model/attention/grid.h"
#include "model/attention/rotary.h"
#include "model/attention/shape.h"
#include "model/attention/tile.h"
#include "model/layers/dense.h"
#include "model/layers/norm.h"
#include "model/worker.h"
#include "tensor/buffer.h"
#include "tensor/owned_matrix.h"

namespace combiner {

// axial_rowmajor's weights for computing the key of a summary from its value, which is a position's
// attention over its whole row.
struct SummaryWeights {
  DenseWeights output, key;  // [D, D]
  NormWeights norm;
  std::shared_ptr<const Rotary> rotary = nullptr;  // rotates the keys; may be null
};

// Destinations for the gradients of SummaryWeights, which are added to what is there.
struct SummaryGradient {
  Matrix<float> output, key;     // [D, D]
  float* norm_weight = nullptr;  // [D]
  float* norm_bias = nullptr;    // [D]
};

// What a part leaves for its backward pass, and scratch memory. Each part allocates only the fields
// that it needs.
template <class T>
struct PartActivations {
  // For abstractions: query and key, the elementwise maxima over their positions; value, and
  // `mean`, the value before rounding; lse, the log-sum-exp of the value's logits. For summaries:
  // the same fields except query.
  OwnedMatrix<T> query, key, value;  // [n, D]
  OwnedMatrix<float> mean;  // [n, D]; for summaries, scratch memory for one row of the grid
  OwnedMatrix<float> lse;   // [n, H]
  // Summaries only: sum = SummaryOutput(value) + the attention's input, its moments and its
  // LayerNorm.
  OwnedMatrix<float> sum;  // [n, D]
  Buffer<RowMoments> moments;
  OwnedMatrix<T> norm;           // [n, D]
  OwnedMatrix<float> unrotated;  // [n, D] keys before rotation, if they are rotated

  // For n abstractions whose keys and values are stored elsewhere.
  static PartActivations for_queries(const AttentionShape& shape, int64_t n) {
    PartActivations act;
    act.query = OwnedMatrix<T>(n, shape.dim);
    act.mean = OwnedMatrix<float>(n, shape.dim);
    act.lse = OwnedMatrix<float>(n, shape.heads);
    return act;
  }
  static PartActivations for_abstractions(const AttentionShape& shape, int64_t n) {
    PartActivations act = for_queries(shape, n);
    act.key = OwnedMatrix<T>(n, shape.dim);
    act.value = OwnedMatrix<T>(n, shape.dim);
    return act;
  }
};

// When stored keys and values will next be read: while they are still in cache, or after so much
// other data that they have been evicted.
enum class NextRead { soon, late };

// Whole rows first_row .. first_row + query.rows - 1 of one image.
template <class T>
struct Band {
  const AttentionShape& shape;
  int64_t first_row;
  Grid<const T> input, query, key, value;  // these rows; input is the layer's input
  Grid<const T> all_key, all_value;        // these rows and all above, if a part reads them
  const SummaryWeights* summary;           // axial_rowmajor only
  Worker& worker;
  NextRead next_read = NextRead::soon;

  Band upside_down() const {
    Band band = *this;
    for (Grid<const T> Band::*grid : kGrids) band.*grid = (this->*grid).upside_down();
    return band;
  }

 private:
  static constexpr Grid<const T> Band::*kGrids[] = {&Band::input, &Band::query,   &Band::key,
                                                    &Band::value, &Band::all_key, &Band::all_value};
};

// The keys and values that one position attends to, from a given column (the start of a head) on.
template <class T>
class KvSpans {
 public:
  void clear(int64_t first_column) {
    spans_.clear();
    int8_ = {};
    first_column_ = first_column;
  }
  // Adds a span of rows of [n, D] matrices; n may be 0.
  void add(Matrix<const T> key, Matrix<const T> value) {
    if (key.rows == 0) return;
    spans_.push_back(
        {key.data + first_column_, key.stride, value.data + first_column_, value.stride, key.rows});
  }
  // Adds a span in 8 bits. There can be only one.
  void add(Matrix<const int8_t> key, const float* key_scale, Matrix<const int8_t> value,
           const float* value_scale) {
    int8_ = {
        {key.data + first_column_, key.stride, value.data + first_column_, value.stride, key.rows},
        key_scale,
        value_scale};
  }
  std::span<const KvSpan<T>> span() const { return spans_; }
  const Int8KvSpan& int8() const { return int8_; }

 private:
  std::vector<KvSpan<T>> spans_;
  Int8KvSpan int8_ = {};
  int64_t first_column_ = 0;
};

// The attention output of some positions, merged over the parts so far: out [.., D], the same in T,
// and its log-sum-exp [.., H].
template <class T>
struct Attended {
  Grid<float> out;
  Grid<T> rounded;
  Grid<float> lse;
  // Nothing reads `out` after the current part has merged into it.
  bool last = false;
  bool forward_only = false;  // no backward pass follows

  AttendedRows<T> row(int64_t r) const { return {out.row(r), rounded.row(r), lse.row(r)}; }
  AttendedRows<T> column(int64_t c) const {
    return {out.column(c), rounded.column(c), lse.column(c)};
  }
  AttendedRows<T> positions() const {
    return {out.positions(), rounded.positions(), lse.positions()};
  }
  Attended upside_down() const {
    return {out.upside_down(), rounded.upside_down(), lse.upside_down()};
  }
};

template <class T>
struct AttentionBackwardScratch {
  AttentionBackwardScratch() = default;
  explicit AttentionBackwardScratch(const AttentionShape& shape)
      : d_query(shape.positions(), shape.dim),
        d_key(shape.positions(), shape.dim),
        d_value(shape.positions(), shape.dim),
        delta(shape.positions(), shape.heads),
        carry(static_cast<size_t>(shape.dim)),
        rounded(shape.positions(), shape.dim) {}

  OwnedMatrix<float> d_query, d_key, d_value;  // gradients of abstractions
  OwnedMatrix<float> delta;                    // value . d_value of abstractions, per head
  Buffer<float> carry;                         // the gradient of a running maximum
  OwnedMatrix<T> rounded;                      // a gradient in T, operand of the next product
};

// Inputs and outputs of the backward pass through a whole image's merged attention. Inputs: d_out
// [.., D], lse [.., H] and delta [.., H] = d_out . out per head. The parts of a variant add to
// d_query, d_key and d_value; the first part clears them. A part that rounds_gradient() leaves the
// sums in `rounded` instead. d_input is overwritten; the gradients of the weights are added to.
template <class T>
struct AttendedGradient {
  Grid<const float> d_out, lse, delta;
  Grid<float> d_query, d_key, d_value;
  struct {
    Grid<T> d_query, d_key, d_value;
  } rounded;
  // The next two are for axial_rowmajor only.
  Grid<float> d_input;
  SummaryGradient summary;
  AttentionBackwardScratch<T>& scratch;

  RoundedAttentionGradient<T> row_gradient(int64_t r) const {
    const auto& [query, key, value] = rounded;
    return {gradient_views(d_query.row(r), d_key.row(r), d_value.row(r)),
            query.at(r, 0),
            query.column_stride,
            key.at(r, 0),
            key.column_stride,
            value.at(r, 0),
            value.column_stride};
  }
  // For a first part that adds to positions in no particular order.
  void clear_positions() const {
    for (const Grid<float>& d : {d_query, d_key, d_value}) clear(d.positions());
  }
};

// Whether a part reads the keys and values of all positions, not only those of the current rows,
// and the order in which to store them. What is read together should be contiguous.
enum class KvLayout { nothing, in_raster_order, by_column };

// Parts are stateless. What a part stores about an image is in `state`: state_size() elements,
// owned by the caller, which persist from row to row and from position to position.
template <class T>
class Part {
 public:
  virtual ~Part() = default;

  virtual KvLayout kv_layout() const { return KvLayout::nothing; }
  virtual int64_t state_size(const AttentionShape& /*shape*/) const { return 0; }
  // Activations for bands of up to `rows` rows.
  virtual PartActivations<T> activations(const AttentionShape& /*shape*/, int64_t /*rows*/) const {
    return {};
  }
  // The number of query-key pairs in an image, including those that make abstractions.
  virtual int64_t pairs(const AttentionShape& shape) const = 0;

  // Merges this part's attention of all positions of the band into `attended`. Bands come in order
  // from row 0.
  virtual void attend_rows(const Band<T>& band, const Attended<T>& attended, T* state,
                           PartActivations<T>& act) const = 0;
  // Adds the spans that position `column` of the band's only row attends to. All positions up to it
  // have been appended.
  virtual void add_spans(const Band<T>& row, int64_t column, T* state, KvSpans<T>& spans) const = 0;
  // Updates the state after each position, in raster order, before the next position is appended.
  virtual void finish_position(const Band<T>& /*row*/, int64_t /*column*/, T* /*state*/,
                               PartActivations<T>& /*act*/) const {}
  // For bidirectional attention: merges the attention to later positions, which is this part on the
  // reversed image. Called after attend_rows on a whole image. Not every part supports this.
  virtual bool can_be_bidirectional() const { return true; }
  virtual void attend_later(const Band<T>& image, const Attended<T>& attended, T* state,
                            PartActivations<T>& act) const = 0;
  // Whether attend_backward leaves the gradient rounded. Matters for the last part of a variant.
  virtual bool rounds_gradient() const { return false; }
  // The backward pass. Called after attend_rows on a whole image, with the state and activations
  // that it left.
  virtual void attend_backward(const Band<T>& image, const AttendedGradient<T>& gradient, T* state,
                               PartActivations<T>& act) const = 0;
};

}  // namespace combiner
