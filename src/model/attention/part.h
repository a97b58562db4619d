// A part of an attention variant: keys and values, and which of them a position attends (paper, eq.
// 7 and 9). All parts of a variant share one softmax: each merges its tiles of `attend` into what
// those before it left.
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

// axial_rowmajor's way from a position's attention over its row to the key of its summary.
struct SummaryWeights {
  DenseWeights output, key;  // [D, D]
  NormWeights norm;
  std::shared_ptr<const Rotary> rotary = nullptr;  // by which keys are turned; null if they are not
};

// Where their gradients are added.
struct SummaryGradient {
  Matrix<float> output, key;     // [D, D]
  float* norm_weight = nullptr;  // [D]
  float* norm_bias = nullptr;    // [D]
};

// What a part leaves for its backward pass, and scratch; each part allocates what it needs of it.
template <class T>
struct PartActivations {
  // Abstractions: their query and key, the elementwise maxima of their positions'; their value, as
  // products read it and before rounding; its log-sum-exp. Or summaries, which have no query.
  OwnedMatrix<T> query, key, value;  // [n, D]
  OwnedMatrix<float> mean;           // [n, D]; of summaries scratch for a row
  OwnedMatrix<float> lse;            // [n, H]
  // Summaries: SummaryOutput(value) + the attention's input, its moments and LayerNorm.
  OwnedMatrix<float> sum;  // [n, D]
  Buffer<RowMoments> moments;
  OwnedMatrix<T> norm;           // [n, D]
  OwnedMatrix<float> unrotated;  // [n, D] keys before they are turned, where they are

  // For n abstractions, whose keys and values lie elsewhere.
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

// When what is kept of an image is read again: while it is still in cache, or after so much else
// that it won't be.
enum class NextRead { soon, late };

// Whole rows first_row .. first_row + query.rows - 1 of one image.
template <class T>
struct Band {
  const AttentionShape& shape;
  int64_t first_row;
  Grid<const T> input, query, key, value;  // of these rows; input is what the three are made from
  Grid<const T> all_key, all_value;        // of these and all rows above, if a part keeps positions
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

// The keys and values that one position attends, from some column (of some head) on.
template <class T>
class KvSpans {
 public:
  void clear(int64_t first_column) {
    spans_.clear();
    int8_ = {};
    first_column_ = first_column;
  }
  // Rows of [n, D]; n may be 0.
  void add(Matrix<const T> key, Matrix<const T> value) {
    if (key.rows == 0) return;
    spans_.push_back(
        {key.data + first_column_, key.stride, value.data + first_column_, value.stride, key.rows});
  }
  // The same in 8 bits, once at most.
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

// Of some positions: the merged attention of all parts [.., D], the same as products read it, and
// its log-sum-exp [.., H].
template <class T>
struct Attended {
  Grid<float> out;
  Grid<T> rounded;
  Grid<float> lse;
  // Nobody reads `out` once the part at hand has merged into it.
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

  OwnedMatrix<float> d_query, d_key, d_value;  // of abstractions
  OwnedMatrix<float> delta;                    // value . d_value of abstractions, per head
  Buffer<float> carry;                         // the gradient of a running maximum
  OwnedMatrix<T> rounded;                      // a gradient, as the next product reads it
};

// The gradient of a whole image's merged attention. d_out [.., D], lse [.., H] and
// delta [.., H] = d_out . out per head are inputs. To d_query, d_key and d_value a variant's parts
// add, but for the first, which clears them; a part that rounds_gradient() leaves their sums in
// `rounded` instead. d_input is replaced, the weights' gradients are added.
template <class T>
struct AttendedGradient {
  Grid<const float> d_out, lse, delta;
  Grid<float> d_query, d_key, d_value;
  struct {
    Grid<T> d_query, d_key, d_value;
  } rounded;
  Grid<float> d_input;      // axial_rowmajor only, like
  SummaryGradient summary;  // this
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
  // For a part that adds to any position's in any order.
  void clear_positions() const {
    for (const Grid<float>& d : {d_query, d_key, d_value}) clear(d.positions());
  }
};

// Whether a part reads the keys and values of all positions, not only of the current rows, and in
// which order: a line that is read is best kept in one piece.
enum class KvLayout { nothing, in_raster_order, by_column };

// Parts are stateless: what they keep of an image lies in `state`, state_size() elements of the
// caller's, from row to row and position to position.
template <class T>
class Part {
 public:
  virtual ~Part() = default;

  virtual KvLayout kv_layout() const { return KvLayout::nothing; }
  virtual int64_t state_size(const AttentionShape& /*shape*/) const { return 0; }
  // For bands of up to `rows` rows.
  virtual PartActivations<T> activations(const AttentionShape& /*shape*/, int64_t /*rows*/) const {
    return {};
  }
  // Pairs of query and key in an image, those that make abstractions included.
  virtual int64_t pairs(const AttentionShape& shape) const = 0;

  // Merges into what all positions of the band attend; bands come in order from row 0.
  virtual void attend_rows(const Band<T>& band, const Attended<T>& attended, T* state,
                           PartActivations<T>& act) const = 0;
  // Adds what position `column` of the band's one row attends; the positions up to itself are
  // there.
  virtual void add_spans(const Band<T>& row, int64_t column, T* state, KvSpans<T>& spans) const = 0;
  // Called after that of each position, in raster order, before the next position is there.
  virtual void finish_position(const Band<T>& /*row*/, int64_t /*column*/, T* /*state*/,
                               PartActivations<T>& /*act*/) const {}
  // Merges what lies on the other side, for attention that looks both ways: the same part of the
  // image turned around. Called after attend_rows on a whole image. Not every part can.
  virtual bool can_be_bidirectional() const { return true; }
  virtual void attend_later(const Band<T>& image, const Attended<T>& attended, T* state,
                            PartActivations<T>& act) const = 0;
  // Whether attend_backward, of the variant's last part, leaves the gradient rounded.
  virtual bool rounds_gradient() const { return false; }
  // After attend_rows on a whole image, whose state and activations are as it left them.
  virtual void attend_backward(const Band<T>& image, const AttendedGradient<T>& gradient, T* state,
                               PartActivations<T>& act) const = 0;
};

}  // namespace combiner
