// Position t attends to the spans given by the powers of two in t, the largest first: {0 .. 7},
// {8, 9} and {10} for t = 11. They form a stack, with t itself on top. Then t completes a span: t
// and as many of the topmost spans as t has trailing ones merge into one.

#include <algorithm>
#include <bit>
#include <stdexcept>

#include "kernels/rows.h"
#include "model/attention/abstraction.h"
#include "model/attention/parts.h"
#include "model/attention/tile.h"

namespace combiner {
namespace {

int64_t spans_before(int64_t position) { return std::popcount(static_cast<uint64_t>(position)); }
// The number of spans on the stack that merge with the position.
int64_t spans_joined(int64_t position) { return std::countr_one(static_cast<uint64_t>(position)); }

// The state. The topmost row in use is the position itself.
template <class T>
struct Stack {
  Matrix<T> query, key, value;  // [maximum depth, D]

  Stack(const AttentionShape& shape, T* data)
      : query(data, depth(shape), shape.dim),
        key(query.row(query.rows), query.rows, shape.dim),
        value(key.row(key.rows), key.rows, shape.dim) {}

  static int64_t depth(const AttentionShape& shape) {
    return std::bit_width(static_cast<uint64_t>(shape.positions()));
  }
};

template <class T>
void copy_row(const T* from, Matrix<T> to, int64_t row) {
  std::copy_n(from, to.columns, to.row(row));
}

template <class T>
class SpanPart final : public Part<T> {
 public:
  // Whether to attend to abstractions of the spans or to their last positions.
  explicit SpanPart(bool abstract) : abstract_(abstract) {}

  KvLayout kv_layout() const override {
    return abstract_ ? KvLayout::in_raster_order : KvLayout::nothing;
  }
  int64_t state_size(const AttentionShape& shape) const override {
    return 3 * Stack<T>::depth(shape) * shape.dim;
  }
  // For the spans that the band's positions complete.
  PartActivations<T> activations(const AttentionShape& shape, int64_t rows) const override {
    if (!abstract_) return {};
    return PartActivations<T>::for_abstractions(shape, rows * shape.columns);
  }
  int64_t pairs(const AttentionShape& shape) const override {
    int64_t sum = 0;
    for (int64_t t = 0; t < shape.positions(); ++t) {
      sum += spans_before(t) + 1;
      if (abstract_ && t + 1 < shape.positions() && spans_joined(t) > 0)
        sum += int64_t{1} << spans_joined(t);
    }
    return sum;
  }

  void attend_rows(const Band<T>& band, const Attended<T>& attended, T* state,
                   PartActivations<T>& act) const override {
    const AttentionShape& shape = band.shape;
    const Stack<T> stack(shape, state);
    for (int64_t i = 0; i < band.query.rows * shape.columns; ++i) {
      const int64_t top = push(band, i, stack);
      attend_heads<T>(shape, band.query.positions().row_block(i, 1),
                      stack.key.row_block(0, top + 1), stack.value.row_block(0, top + 1),
                      Visible::all(), attended.positions().row_block(i, 1), Merge::replace,
                      band.worker);
      complete(band, i, stack, act);
    }
  }

  void add_spans(const Band<T>& row, int64_t column, T* state, KvSpans<T>& spans) const override {
    const Stack<T> stack(row.shape, state);
    const int64_t earlier = spans_before(row.first_row * row.shape.columns + column);
    spans.add(stack.key.row_block(0, earlier), stack.value.row_block(0, earlier));
    spans.add(row.key.row(0).row_block(column, 1), row.value.row(0).row_block(column, 1));
  }
  void finish_position(const Band<T>& row, int64_t column, T* state,
                       PartActivations<T>& act) const override {
    const Stack<T> stack(row.shape, state);
    push(row, column, stack);
    complete(row, column, stack, act);
  }

  bool can_be_bidirectional() const override { return false; }
  void attend_later(const Band<T>& /*image*/, const Attended<T>& /*attended*/, T* /*state*/,
                    PartActivations<T>& /*act*/) const override {
    throw std::logic_error("spans look one way only");
  }

  void attend_backward(const Band<T>& image, const AttendedGradient<T>& gradient, T* state,
                       PartActivations<T>& act) const override {
    const AttentionShape& shape = image.shape;
    gradient.clear_positions();
    const Stack<T> stack(shape, state);
    const Matrix<float> d_stack_key = gradient.scratch.d_key.view(stack.key.rows);
    const Matrix<float> d_stack_value = gradient.scratch.d_value.view(stack.key.rows);
    const auto at = [](auto grid, int64_t t) { return grid.positions().row_block(t, 1); };
    const auto add_to_position = [&](int64_t row, int64_t t) {
      add_rows(d_stack_key.row_block(row, 1), at(gradient.d_key, t));
      add_rows(d_stack_value.row_block(row, 1), at(gradient.d_value, t));
    };
    const int64_t last = shape.positions() - 1;
    for (int64_t t = last; t >= 0; --t) {
      // Go back from the stack that t left to the one that it found. The span that t completed has
      // received all of its gradient, and the spans that merged into it have received none yet.
      const int64_t top = spans_before(t);
      const int64_t joined = t < last ? spans_joined(t) : top;
      const int64_t completed = top - joined;
      if (t < last && (!abstract_ || joined == 0)) add_to_position(completed, t);
      if (t < last && abstract_ && joined > 0)
        complete_backward(image, gradient, t, d_stack_key.row_block(completed, 1),
                          d_stack_value.row_block(completed, 1), act);
      for (int64_t row = top, rest = t; row > completed; rest &= rest - 1) {
        const int64_t end = rest - 1;  // of the span of the lowest set bit of `rest`
        --row;
        copy_row(abstract_ ? act.key.view().row(end) : image.key.positions().row(end), stack.key,
                 row);
        copy_row(abstract_ ? act.value.view().row(end) : image.value.positions().row(end),
                 stack.value, row);
      }
      copy_row(image.key.positions().row(t), stack.key, top);
      copy_row(image.value.positions().row(t), stack.value, top);
      for (const Matrix<float>& d : {d_stack_key, d_stack_value})
        std::fill_n(d.row(completed), (joined + 1) * shape.dim, 0.0f);

      attend_heads_backward<T>(shape, at(image.query, t), stack.key.row_block(0, top + 1),
                               stack.value.row_block(0, top + 1), Visible::all(),
                               at(gradient.d_out, t), at(gradient.lse, t), at(gradient.delta, t),
                               at(gradient.d_query, t), d_stack_key.row_block(0, top + 1),
                               d_stack_value.row_block(0, top + 1), image.worker);
      add_to_position(top, t);
    }
  }

 private:
  // Pushes the band's position i onto the stack and returns its row there.
  static int64_t push(const Band<T>& band, int64_t i, const Stack<T>& stack) {
    const int64_t top = spans_before(band.first_row * band.shape.columns + i);
    copy_row(band.query.positions().row(i), stack.query, top);
    copy_row(band.key.positions().row(i), stack.key, top);
    copy_row(band.value.positions().row(i), stack.value, top);
    return top;
  }

  // Replaces the spans that merge with the band's position i by the span that it completes.
  void complete(const Band<T>& band, int64_t i, const Stack<T>& stack,
                PartActivations<T>& act) const {
    const AttentionShape& shape = band.shape;
    const int64_t t = band.first_row * shape.columns + i;
    if (t + 1 == shape.positions()) return;
    const int64_t top = spans_before(t);
    const int64_t joined = spans_joined(t);
    const int64_t completed = top - joined;
    if (!abstract_) {
      copy_row(stack.key.row(top), stack.key, completed);
      copy_row(stack.value.row(top), stack.value, completed);
      return;
    }
    const Matrix<T> query = act.query.view().row_block(i, 1);
    const Matrix<T> key = act.key.view().row_block(i, 1);
    const Matrix<T> value = act.value.view().row_block(i, 1);
    maximum_of<T>(stack.query.row_block(completed, joined + 1), query.data);
    maximum_of<T>(stack.key.row_block(completed, joined + 1), key.data);
    if (joined == 0) {
      copy_row(stack.value.row(top), value, 0);
    } else {
      const auto of_span = [&](auto grid) { return span(grid, t); };
      attend_heads<T>(shape, query, of_span(band.all_key), of_span(band.all_value), Visible::all(),
                      {act.mean.view().row_block(i, 1), value, act.lse.view().row_block(i, 1)},
                      Merge::replace, band.worker);
    }
    copy_row(query.data, stack.query, completed);
    copy_row(key.data, stack.key, completed);
    copy_row(value.data, stack.value, completed);
  }

  // The backward pass of the abstraction of the span that t completes. Destroys `d_key`.
  static void complete_backward(const Band<T>& image, const AttendedGradient<T>& gradient,
                                int64_t t, Matrix<float> d_key, Matrix<const float> d_value,
                                PartActivations<T>& act) {
    const AttentionShape& shape = image.shape;
    const Matrix<float> delta = gradient.scratch.delta.view(1);
    const Matrix<float> d_query = gradient.scratch.d_query.view(1);
    const auto at = [&](auto& matrix) { return matrix.view().row_block(t, 1); };
    const auto of_span = [&](auto grid) { return span(grid, t); };
    std::fill_n(d_query.data, shape.dim, 0.0f);
    head_products<float>(d_value, at(act.mean), shape.head_dim(), delta);
    attend_heads_backward<T>(shape, at(act.query), of_span(image.key), of_span(image.value),
                             Visible::all(), d_value, at(act.lse), delta, d_query,
                             of_span(gradient.d_key), of_span(gradient.d_value), image.worker);
    maximum_of_backward<T>(of_span(image.query), at(act.query).data, d_query.data,
                           of_span(gradient.d_query));
    maximum_of_backward<T>(of_span(image.key), at(act.key).data, d_key.data,
                           of_span(gradient.d_key));
  }

  // The positions of the span that t completes.
  template <class U>
  static Matrix<U> span(Grid<U> grid, int64_t t) {
    const int64_t length = int64_t{1} << spans_joined(t);
    return grid.positions().row_block(t + 1 - length, length);
  }

  bool abstract_;
};

}  // namespace

template <class T>
const Part<T>& span_part() {
  static const SpanPart<T> part(true);
  return part;
}
template const Part<float>& span_part();
template const Part<bfloat16>& span_part();

template <class T>
const Part<T>& span_end_part() {
  static const SpanPart<T> part(false);
  return part;
}
template const Part<float>& span_end_part();
template const Part<bfloat16>& span_end_part();

}  // namespace combiner
